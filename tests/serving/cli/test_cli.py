"""Commands in this process against the session's server: exit status, standard output, messages."""

import json
import subprocess
import sys
import time
from typing import Any

import click
import numpy as np
import pytest

from serving.cli import main as cli


@pytest.fixture
def run(capsys):
    """Run a command; its exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return call


def document(result: tuple[int, str, str]) -> Any:
    status, out, err = result
    assert status == 0, err
    assert len(out.strip().splitlines()) == 1
    return json.loads(out)


@pytest.fixture
def image_file(tmp_path, images):
    path = tmp_path / "images.npy"
    np.save(path, images)
    return path


def test_predict(run, address, image_file, images, expected):
    answer = document(run("predict", address, "conv", "--version", 1, "--input", f"image={image_file}", "--json"))
    want = expected("conv", image=images)
    assert (answer["model"], answer["version"], answer["output"]) == ("conv", 1, None)
    probabilities = answer["outputs"]["probabilities"]
    assert (probabilities["dtype"], probabilities["shape"]) == ("float32", [5, 3])
    np.testing.assert_allclose(probabilities["values"], want["probabilities"], rtol=1e-6)
    assert answer["outputs"]["label"]["values"] == [label.decode() for label in want["label"]]


def test_predict_in_batches_to_a_file(run, tmp_path, address, image_file, images, expected):
    output = tmp_path / "answers.npz"
    answer = document(
        run(
            "predict",
            address,
            "conv",
            "--input",
            f"image={image_file}",
            "--batch-size",
            2,
            "--output",
            output,
            "--json",
        )
    )
    assert answer["version"] == 2
    assert answer["outputs"]["probabilities"] == {"dtype": "float32", "shape": [5, 3]}
    want = expected("conv_b", image=images)
    with np.load(output) as answers:
        np.testing.assert_allclose(answers["probabilities"], want["probabilities"], rtol=1e-6)
        assert answers["label"].tolist() == want["label"].tolist()


def test_predict_with_two_inputs_of_one_archive(run, tmp_path, address):
    path = tmp_path / "inputs.npz"
    np.savez(path, frames=np.ones((2, 3, 12), np.float32), padding_mask=np.ones((2, 3), np.bool_))
    inputs = ("--input", f"frames={path}", "--input", f"padding_mask={path}")
    answer = document(run("predict", address, "sequence", *inputs, "--json"))
    assert answer["outputs"]["mean"]["values"] == [[1.0] * 12] * 2


def test_predict_for_people(run, address, image_file):
    status, out, _ = run("predict", address, "conv", "--input", f"image={image_file}")
    assert status == 0
    assert out.startswith("conv, version 2\n")
    assert "label: string [5]" in out


def test_status(run, address):
    assert document(run("status", address, "conv", "--json")) == {
        "model": "conv",
        "versions": [
            {"version": 2, "state": "AVAILABLE", "error_code": "OK", "error_message": ""},
            {"version": 1, "state": "AVAILABLE", "error_code": "OK", "error_message": ""},
        ],
    }
    assert run("status", address, "conv", "--version", 1)[1] == "conv 1  AVAILABLE\n"


def test_metadata(run, address):
    found = document(run("metadata", address, "sequence", "--json"))
    assert found["version"] == 1
    assert found["signatures"]["serving_default"]["inputs"]["frames"] == {"dtype": "float", "shape": [None, None, 12]}
    assert "serving_default takes frames: float [?, ?, 12]" in run("metadata", address, "sequence")[1]


def test_bench(run, address):
    report = document(run("bench", address, "conv", "--clients", 2, "--seconds", 0.5, "--batch-size", 3, "--json"))
    (result,) = report.pop("results")
    assert report == {"address": address, "model": "conv", "version": 2, "batch_size": 3, "seconds": 0.5}
    assert (result["clients"], result["errors"]) == (2, {})
    assert result["requests"] >= 10
    assert result["examples_per_s"] == pytest.approx(3 * result["requests_per_s"], rel=0.01)
    assert 0 < result["p50_ms"] <= result["p90_ms"] <= result["p99_ms"] < 500


def test_bench_stays_on_this_machine(run):
    status, out, err = run("bench", "192.0.2.1:8500", "conv", "--json")
    assert (status, out) == (2, "")
    assert "--allow-remote" in err


NO_SERVER = "127.0.0.1:1"
USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "no command": (("nosuch",), "No such command 'nosuch'"),
    "no root": (("serve",), "Missing argument 'ROOT'"),
    "root missing": (("serve", "/nosuch/root"), "ROOT must be a directory"),
    "port": (("serve", ".", "--port", "99999"), "0<=x<=65535"),
    "address": (("status", "localhost", "m"), "HOST:PORT"),
    "no input": (("predict", NO_SERVER, "m"), "Missing option '--input'"),
    "input form": (("predict", NO_SERVER, "m", "--input", "images.npy"), "NAME=FILE.npy"),
    "input missing": (("predict", NO_SERVER, "m", "--input", "image=/nosuch.npy"), "/nosuch.npy"),
    "input twice": (("predict", NO_SERVER, "m", "--input", "a=@", "--input", "a=@"), "Received twice: a"),
    "batch size": (("predict", NO_SERVER, "m", "--input", "a=@", "--batch-size", "0"), "--batch-size"),
    "seconds": (("bench", NO_SERVER, "m", "--seconds", "99999"), "--seconds"),
}


@pytest.mark.parametrize(("arguments", "text"), USAGE.values(), ids=USAGE)
def test_wrong_use_exits_with_2(run, image_file, arguments, text):
    status, out, err = run(*(argument.replace("@", str(image_file)) for argument in arguments))
    assert (status, out) == (2, "")
    assert text in err
    assert "Traceback" not in err


def test_an_input_that_is_no_array(run, tmp_path):
    (tmp_path / "x.npy").write_text("no array")
    status, _, err = run("predict", NO_SERVER, "m", "--input", f"image={tmp_path / 'x.npy'}")
    assert status == 2
    assert "no array can be read" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("status", "127.0.0.1:{free_port}", "conv"), "Start one: serving serve ROOT"),
        (("bench", "127.0.0.1:{free_port}", "conv"), "Start one: serving serve ROOT"),
        (("status", "{address}", "nosuch"), "Could not find any versions of model nosuch"),
        (("metadata", "{address}", "conv", "--version", "9"), "Specific(conv, 9)"),
        (("predict", "{address}", "double", "--input", "x={image_file}"), "Input `x` must have shape [?]"),
    ],
    ids=["no server", "no server to bench", "model", "version", "shape"],
)
def test_failure_exits_with_1(run, address, free_port, image_file, arguments, text):
    filled = [one.format(address=address, free_port=free_port, image_file=image_file) for one in arguments]
    status, out, err = run(*filled, "--json")
    assert (status, out) == (1, "")
    assert text in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_port_in_use_exits_with_1(run, server, root):
    status, out, err = run("serve", root, "--port", server.port)
    assert (status, out) == (1, "")
    assert f"Cannot listen on 127.0.0.1:{server.port}" in err
    assert "--port" in err


def test_debug_shows_the_traceback(run, free_port):
    assert "Traceback" in run("status", f"127.0.0.1:{free_port}", "conv", "--debug")[2]


@pytest.mark.parametrize("name", sorted(cli.serving.commands))
def test_help_has_an_example(run, name):
    status, out, _ = run(name, "--help")
    assert status == 0
    assert f"Example: serving {name} " in out
    assert isinstance(cli.serving.commands[name], click.Command)


def test_help_is_quick_and_needs_neither_tensorflow_nor_numpy():
    code = (
        "import sys, time\nfrom serving.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'tensorflow', 'numpy', 'keras'} & set(sys.modules)\nprint(time.process_time(), file=sys.stderr)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stderr) < 1.0, f"CPU seconds; {time.monotonic() - started:.1f} s in all"
