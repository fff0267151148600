"""`serving bench ROOT NAME`: servers are started, measured, stopped."""

import json
import pathlib

import pytest

from serving.bench import comparison, endurance
from serving.bench.load import Result
from serving.bench.running import our_server
from serving.errors import ServingError, UsageError


@pytest.fixture(scope="module")
def bench_root(tmp_path_factory: pytest.TempPathFactory, publish) -> pathlib.Path:
    root = tmp_path_factory.mktemp("bench")
    (root / "m").mkdir()
    publish("double", root / "m" / "3")
    return root


def test_versions_are_swapped_under_load(bench_root):
    report = endurance.measure_swaps(bench_root, "m", swaps=2, clients=2, processes=1)
    assert report["swaps"] == 2
    assert report["errors"] == {}
    assert report["requests"] >= report["requests_in_swap"] > 0
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert sorted(path.name for path in (bench_root / "m").iterdir()) == ["3"]  # what is measured are copies


@pytest.mark.slow
def test_memory_is_watched_under_load(bench_root):
    report = endurance.measure_memory(bench_root, "m", minutes=0.3, clients=1, processes=1)
    assert report["requests"] > 100
    assert 50e6 < report["first_bytes"] <= report["max_bytes"] < 4e9
    assert report["growth"] == pytest.approx(report["last_bytes"] / report["first_bytes"] - 1, abs=1e-4)


@pytest.mark.slow
def test_servers_are_compared(bench_root, capfd):
    from serving.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(["bench", str(bench_root), "m", "--seconds", "0.3", "--rounds", "1", "--json"])
    assert ended.value.code in (0, None)
    report = json.loads(capfd.readouterr().out)
    assert [(cell["batch_size"], cell["clients"]) for cell in report["cells"]] == [(1, 1), (1, 8), (32, 8)]
    for cell in report["cells"]:
        assert set(cell["servers"]) == {"naive", "tensorflow, 1 process", "tensorflow, 2 processes"}
        assert cell["servers"]["naive"]["by_naive"] == 1
        assert all(row["requests_per_s"] > 0 and row["errors"] == 0 for row in cell["servers"].values())
    assert report["client_alone"]["tensorflow, 1 process"]["p50_ms"] > 0
    assert report["client"]["seconds_ratio"] > 1
    assert report["decode"]["float_val"]["decode_us"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["ROOT", "m", "--batch-size", "4"],
        ["ROOT", "m", "--signature", "other"],
        ["ROOT", "m", "--clients", "2"],
        ["ROOT", "m", "--processes", "2"],
        ["ROOT", "m", "--swaps", "1", "--rounds", "1"],
        ["ROOT", "m", "--swaps", "1", "--minutes", "1"],
        ["127.0.0.1:1", "m", "--swaps", "1"],
        ["127.0.0.1:1", "m", "--rounds", "1"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path, capsys, arguments):
    from serving.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(["bench", *(str(tmp_path) if word == "ROOT" else word for word in arguments)])
    assert ended.value.code == 2
    assert f"`{arguments[-2]}` has no effect" in capsys.readouterr().err


def result(rate: float, p50_ms: float) -> Result:
    return Result(
        clients=8,
        requests=10,
        requests_per_s=rate,
        examples_per_s=rate,
        p50_ms=p50_ms,
        p90_ms=p50_ms,
        p99_ms=p50_ms,
        errors={"UNAVAILABLE": 1},
    )


def test_medians_of_the_turns_are_compared():
    seen = {
        "naive": [{"cells": {(1, 8): result(rate, 9.0)}} for rate in (100.0, 900.0, 200.0)],
        "ours": [{"cells": {(1, 8): result(rate, 4.0)}} for rate in (500.0, 100.0, 450.0)],
    }
    cell = comparison._cell(seen, 1, 8)
    assert cell["servers"]["ours"] == {"requests_per_s": 450.0, "p50_ms": 4.0, "by_naive": 2.25, "errors": 3}


@pytest.mark.parametrize(
    ("made", "message"),
    [((), "must hold version directories"), (("1",), "must hold a SavedModel"), (("x",), "must hold version")],
    ids=["nothing", "empty version", "no number"],
)
def test_a_root_without_a_saved_model(tmp_path, made, message):
    for name in made:
        (tmp_path / "m" / name).mkdir(parents=True)
    with pytest.raises(UsageError, match=message):
        comparison.compare(tmp_path, "m", seconds=0.1, rounds=1, with_clients=False)


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(ServingError, match="ROOT must be a directory"), our_server(tmp_path / "nosuch", ()):
        pass


def test_progress_has_the_time_left(capsys):
    progress = endurance._Progress(20, "swaps")
    for done in range(1, 21):
        progress.show(done)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("serving: 2 of 20 swaps, ")
    assert lines[-1] == "serving: 20 of 20 swaps, 0 s left"
