"""Commands: exit status, one JSON document, messages that help, and a quick start without TensorFlow."""

import json
import resource
import subprocess
import sys

import pytest

from zoo.cli import main


def run(*arguments, capsys):
    """Runs a command in this process; returns its exit status, its output and its messages."""
    with pytest.raises(SystemExit) as done:
        sys.exit(main(list(arguments)))  # a command that is done just returns
    status = done.value.code or 0
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        *((name, "--help") for name in ("list", "data", "train", "evaluate", "compress", "export", "report", "bench")),
        ("quickstart", "--help"),
        ("data", "fetch", "--help"),
        ("bench", "train", "--help"),
        ("bench", "serve", "--help"),
    ],
    ids=" ".join,
)
def test_help_shows_an_example(arguments, capsys):
    status, out, _ = run(*arguments, capsys=capsys)
    assert status == 0
    assert "Example: zoo" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nosuch"), "Unknown config: 'nosuch'"),
        (("train", "digits_cnn", "--set", "model.dept=3"), "Unknown field"),
        (("train", "digits_cnn", "--set", "training.epochs=x"), "must be int"),
        (("train", "digits_cnn", "--resume"), "needs the `--run-dir`"),
        (("train", "no/file.py"), "There is no file"),
        (("evaluate", "."), "no config.json"),
        (("compress", ".", "--recipe", "pruned", "--run-dir", "x"), "no config.json"),
        (("export", "nowhere", "--to", "m", "--name", "x"), "is no directory"),
        (("report", "nowhere"), "is no directory"),
        (("data", "fetch", "mnits"), "Did you mean 'mnist'"),
        (("list", "modells"), "Invalid value"),
        (("train",), "Missing argument"),
        (("nosuch",), "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_ends_with_2_and_one_message(arguments, message, capsys):
    status, out, err = run(*arguments, capsys=capsys)
    assert status == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capsys):
    status, _, err = run("--debug", "evaluate", ".", capsys=capsys)
    assert status == 2
    assert "Traceback" in err
    assert "RunDirectoryError" in err


def test_unexpected_error_ends_with_1(capsys, monkeypatch):
    def broken(name):
        raise RuntimeError("a bug")

    monkeypatch.setattr("zoo.config.find_config", broken)
    status, out, err = run("train", "digits_cnn", capsys=capsys)
    assert (status, out) == (1, "")
    assert "unexpected RuntimeError: a bug" in err
    assert "--debug" in err


@pytest.mark.parametrize("kind", ["models", "sources", "features", "tasks", "compressions", "recipes", "configs"])
def test_list_prints_one_document(kind, capsys):
    status, out, _ = run("list", kind, "--json", capsys=capsys)
    assert status == 0
    document = json.loads(out)
    assert list(document) == [kind]
    assert all(summary for summary in document[kind].values())
    status, out, _ = run("list", kind, capsys=capsys)
    assert all(name in out for name in document[kind])


def test_data_list_names_licences(capsys):
    status, out, _ = run("data", "list", "--json", capsys=capsys)
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert rows.keys() >= {"digits", "mnist", "japanese_vowels"}
    assert all(row["licence"] and row["citation"] for row in rows.values())


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("list",), ("train", "nosuch"), ("train", "digits_cnn", "--set", "training.epochs=x"), ("nosuch",)],
    ids=" ".join,
)
def test_answers_in_under_a_second_without_tensorflow(arguments):
    code = (
        "import sys\nfrom zoo.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.exit(3 if 'tensorflow' in sys.modules or 'keras' in sys.modules else 0)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    # Processor time, which is what the command costs; the clock also counts whatever else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_train_evaluate_compress_export_report(tmp_path, capsys):
    """The commands one after the other on a tiny run, each `--json` document read as a program would."""
    dense, small, models = str(tmp_path / "dense"), str(tmp_path / "small"), str(tmp_path / "models")
    quick = ("--set", "training.epochs=1", "--set", "model.filters=[4,6]", "--set", "training.strategy=none")
    status, out, err = run("train", "digits_cnn", *quick, "--seed", "3", "--run-dir", dense, "--json", capsys=capsys)
    assert status == 0, err
    assert json.loads(out)["run"] == dense
    assert json.loads((tmp_path / "dense" / "config.json").read_text())["training"]["seed"] == 3
    assert (tmp_path / "dense" / "plots" / "history.svg").read_text().count("<svg") == 1
    assert "epoch 1/1" in err

    status, out, _ = run("evaluate", dense, "--json", capsys=capsys)
    assert status == 0
    assert {"accuracy", "macro_precision", "macro_recall", "macro_f1"} <= set(json.loads(out))

    status, out, _ = run(
        "compress", dense, "--recipe", "pruned", "--set", "epochs=1", "--run-dir", small, "--json", capsys=capsys
    )
    assert status == 0
    assert json.loads(out)["compression"]["recipe"] == "pruned"

    status, out, _ = run("export", small, "--to", models, "--name", "d", "--form", "packed", "--json", capsys=capsys)
    assert status == 0
    assert json.loads(out)["path"] == f"{models}/d/1"
    status, out, err = run("export", small, "--to", models, "--name", "d", "--version", "1", capsys=capsys)
    assert (status, out) == (2, "")
    assert "never overwritten" in err

    page = tmp_path / "page.html"
    status, out, err = run("report", dense, small, "--to", str(page), "--no-measure", "--json", capsys=capsys)
    assert status == 0
    assert "bytes of each weight" in err
    (compression,) = json.loads(out)["compression"]
    assert (compression["run"], compression["original"], compression["forms"]) == (small, dense, [])
    assert {weight["sparsity"] for weight in compression["weights"] if weight["weight"] == "kernel"} != {0.0}
    html = page.read_text()
    assert html.count("<svg") == 7  # curves, confusion and examples of both; the layers of the compressed one
    assert "http://" not in html.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_bench_of_signatures_prints_both_batch_sizes(capsys):
    status, out, _ = run("bench", "serve", "digits_cnn", "--calls", "100", "--json", capsys=capsys)
    assert status == 0
    results = json.loads(out)["results"]
    assert [(result["config"], result["batch"]) for result in results] == [("digits_cnn", 1), ("digits_cnn", 32)]
    assert all(result["zoo_p50_ms"] > 0 and result["keras_p50_ms"] > 0 for result in results)
