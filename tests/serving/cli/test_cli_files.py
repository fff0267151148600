"""The commands' files and options where something is odd: archives, outputs, NaN, failing benchmarks."""

import json
import pathlib
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serving import process as process_module
from serving.bench import report as bench_report
from serving.bench.load import Result
from serving.cli import main as cli
from serving.client import input_files
from serving.errors import ServingError, UsageError
from serving.options import ServerOptions, join_host_port

NO_SERVER = "127.0.0.1:1"


@pytest.fixture
def run(capsys):
    """Run a command; its exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return call


def truncated(path: pathlib.Path) -> None:
    np.savez_compressed(path, x=np.arange(1000))
    path.write_bytes(path.read_bytes()[:-100])


def damaged(path: pathlib.Path) -> None:
    np.savez_compressed(path, x=np.random.default_rng(0).random(1000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


FILES = {
    "truncated archive": truncated,
    "damaged archive": damaged,
    "objects in an archive": lambda path: np.savez(path, x=np.array([{}], object)),
    "empty file": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_a_file_without_a_readable_array_is_wrong_use(run, tmp_path, write):
    path = tmp_path / "x.npz"
    write(path)
    status, out, err = run("predict", NO_SERVER, "m", "--input", f"x={path}")
    assert (status, out) == (2, "")
    assert f"--input x={path}" in err
    assert "no array can be read" in err


@pytest.fixture
def numbers(tmp_path) -> str:
    np.save(tmp_path / "x.npy", np.arange(5, dtype=np.float32))
    return f"x={tmp_path / 'x.npy'}"


def test_an_output_that_cannot_be_written_is_found_before_anything_is_sent(run, tmp_path, numbers):
    output = tmp_path / "nosuch" / "answers.npz"
    status, _, err = run("predict", NO_SERVER, "m", "--input", numbers, "--output", output)
    assert status == 2  # and not 1, for no server
    assert f"--output {output}" in err


@pytest.mark.parametrize("before", [None, b"kept"], ids=["new", "existing"])
def test_a_failed_request_leaves_the_output_as_it_was(run, tmp_path, numbers, before):
    output = tmp_path / "answers.npz"
    if before is not None:
        output.write_bytes(before)
    assert run("predict", NO_SERVER, "m", "--input", numbers, "--output", output, "--timeout", 2)[0] == 1
    assert (output.read_bytes() if output.exists() else None) == before


def test_bfloat16_is_written_as_float32_and_scalars_are_joined(run, tmp_path, address, numbers):
    output = tmp_path / "answers.npz"
    arguments = ("predict", address, "double", "--signature", "half", "--input", numbers, "--batch-size", 2)
    status, _, err = run(*arguments, "--output", output)
    assert status == 0, err
    assert "written as float32, for numpy has no bfloat16: half" in err
    with np.load(output) as answers:
        assert answers["half"].dtype == np.float32
        assert answers["half"].tolist() == [0, 1, 2, 3, 4]
        assert answers["largest"].tolist() == [1, 3, 4]


def test_batches_of_different_shapes_cannot_be_joined():
    with pytest.raises(ServingError, match=r"`y` cannot be joined. Received shapes: \[1, 2\], \[1, 3\]"):
        input_files.join([{"y": np.zeros((1, 2))}, {"y": np.zeros((1, 3))}])


@pytest.mark.parametrize(
    ("array", "want"),
    [
        (np.array([1.5, np.nan, np.inf, -np.inf]), [1.5, None, None, None]),
        (np.array(np.nan, np.float32), None),
        (np.array([1.5, np.nan], ml_dtypes.bfloat16), [1.5, None]),
        (np.array([complex(1, np.nan)]), [[1.0, None]]),
        (np.array([[True], [False]]), [[True], [False]]),
        (np.array(b"a", object), "a"),
    ],
    ids=["floats", "scalar", "bfloat16", "complex", "bool", "string"],
)
def test_json_values(array, want):
    assert json.loads(json.dumps(input_files.to_json(array), allow_nan=False)) == want


def test_nan_from_a_server_is_valid_json(run, tmp_path, address):
    np.save(tmp_path / "x.npy", np.array([np.nan, 1.0], np.float32))
    arguments = ("--signature", "half", "--input", f"x={tmp_path / 'x.npy'}", "--json")
    status, out, err = run("predict", address, "double", *arguments)
    assert status == 0, err
    assert json.loads(out, parse_constant=pytest.fail)["outputs"]["half"]["values"] == [None, 1.0]


@pytest.mark.parametrize(
    ("requests", "failed", "status"), [(10, 10, 0), (10, 11, 1), (0, 5, 1)], ids=["half", "more", "all"]
)
def test_a_benchmark_of_failures_fails(run, monkeypatch, requests, failed, status):
    result = Result(
        clients=2,
        requests=requests,
        requests_per_s=1.0,
        examples_per_s=1.0,
        p50_ms=None,
        p90_ms=None,
        p99_ms=None,
        errors={"UNAVAILABLE": failed},
    )
    report = {"version": 1, "batch_size": 1, "seconds": 1.0, "results": [vars(result)]}
    monkeypatch.setattr(bench_report, "run_bench", lambda *_, **__: report)
    code, out, err = run("bench", NO_SERVER, "m")
    assert code == status
    assert f"UNAVAILABLE {failed}" in out
    assert ("2 client(s) failed" in err) is (status == 1)


@pytest.fixture
def served(monkeypatch) -> list[Any]:
    """What `serving serve` would have started."""
    calls: list[Any] = []
    monkeypatch.setattr(process_module, "run", lambda root, options, settings: calls.append(options) or 0)
    return calls


def test_limits_of_the_server_are_options(run, tmp_path, served):
    assert run("serve", tmp_path, "--max-batch-size", 7, "--max-message-bytes", 1000)[0] == 0
    assert served == [ServerOptions(max_batch_size=7, max_message_bytes=1000)]
    assert (served[0].limits.max_batch_size, served[0].limits.max_bytes) == (7, 1000)


def test_the_defaults_of_the_command_are_those_of_the_server(run, tmp_path, served):
    assert run("serve", tmp_path)[0] == 0
    assert served == [ServerOptions()]


@pytest.mark.parametrize(
    ("options", "config", "warned"),
    [(("--versions", "latest"), True, True), (("--versions", "latest"), False, False), ((), True, False)],
    ids=["both", "option", "file"],
)
def test_versions_beside_a_models_config_are_warned_of(run, tmp_path, served, options, config, warned):
    if config:
        (tmp_path / "models.config").write_text("model_config_list {}")
    status, _, err = run("serve", tmp_path, *options)
    assert status == 0
    assert ("`--versions latest` has no effect" in err) is warned


@pytest.mark.parametrize("options", [{"max_batch_size": 0}, {"max_message_bytes": 0}], ids=str)
def test_options_are_checked(options):
    with pytest.raises(UsageError, match=f"`{next(iter(options))}` must be at least 1"):
        ServerOptions(**options)


@pytest.mark.parametrize(
    ("host", "want"), [("::1", "[::1]:1"), ("[::1]", "[::1]:1"), ("127.0.0.1", "127.0.0.1:1"), ("a.b", "a.b:1")]
)
def test_ipv6_hosts_are_bracketed(host, want):
    assert join_host_port(host, 1) == want
