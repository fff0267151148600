"""What version directories cost: real ones in a process of their own, and what is said where that fails."""

import gzip
import mmap
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import ExportError, InvalidValueError
from zoo.exporting import measure_process
from zoo.exporting.measure import bytes_of, gzip_bytes_of, measure
from zoo.exporting.measure_engines import ENGINES, AbstractEngine, LiteRT, SavedModel, engine_of
from zoo.exporting.signature import InputSpec

FRAMES = np.arange(24, dtype="float32").reshape(3, 8)
LARGE_MB = 20


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input([8], name="frames")
    return keras.Model(inputs, {"scores": keras.layers.Dense(4, name="scores")(inputs)})


@pytest.fixture(scope="module")
def directories(model, tmp_path_factory):
    """One signature as Keras, as we and as LiteRT write it, and once with many weights."""
    root = tmp_path_factory.mktemp("models")
    model.export(str(root / "keras"), verbose=False)
    small = zoo.export(model, root, name="small").path
    return {"keras": root / "keras", "small": small, "large": large(root), "litert": litert(model, root / "litert")}


def large(root):
    module: Any = tf.Module()
    module.table = tf.Variable(tf.random.uniform([int(LARGE_MB * 1e6) // 32, 8]))
    spec = tf.TensorSpec([None, 8], name="frames")
    serve = tf.function(lambda frames: {"scores": frames @ tf.transpose(module.table[:4])}, autograph=False)
    tf.saved_model.save(module, str(root / "large"), signatures=serve.get_concrete_function(spec))
    return root / "large"


def litert(model, directory, signature="serving_default"):
    """The model for one row at a time."""
    kernel, bias = (tf.constant(weight.numpy()) for weight in model.weights)
    module = tf.Module()
    serve = tf.function(lambda frames: {"scores": frames @ kernel + bias}, autograph=False)
    function = serve.get_concrete_function(tf.TensorSpec([1, 8], name="frames"))
    tf.saved_model.save(module, str(directory / "saved"), signatures={signature: function})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory / "saved"), signature_keys=[signature])
    converted = converter.convert()
    shutil.rmtree(directory / "saved")
    (directory / LiteRT.FILE).write_bytes(converted)
    return directory


def test_directories_are_measured_side_by_side(directories):
    results = dict(
        zip(directories, measure(list(directories.values()), examples={"frames": FRAMES}, calls=20), strict=True)
    )
    for name, found in results.items():
        assert found.bytes == sum(file.stat().st_size for file in directories[name].rglob("*") if file.is_file())
        assert found.gzip_bytes > 0
        assert found.load_ms > 0
        assert found.p50_ms_1 > 0
        assert found.p50_ms_32 > 0
    assert LARGE_MB < results["large"].memory_mb < 4 * LARGE_MB
    assert results["small"].memory_mb < LARGE_MB
    assert results["litert"].load_ms < results["small"].load_ms
    assert results["litert"].p50_ms_32 > 4 * results["litert"].p50_ms_1  # one row at a time


@pytest.mark.parametrize("name", ["keras", "small", "litert"])
def test_engine_answers_as_the_model(directories, model, name):
    path = directories[name]
    engine = engine_of(path)(path)
    (spec,) = engine.specs()
    assert (spec.name, spec.shape[1:], spec.dtype) == ("frames", (8,), "float32")
    answered = engine.call({"frames": FRAMES[:1]})["scores"]
    np.testing.assert_allclose(answered, model(FRAMES[:1])["scores"], rtol=1e-5)


def test_litert_signature_of_another_name_is_refused(model, tmp_path):
    litert(model, tmp_path, "other")
    with pytest.raises(ExportError, match="has no signature serving_default. It has: other"):
        LiteRT(tmp_path)


def test_saved_model_without_a_signature_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ExportError, match="no signature named serving_default or serve"):
        SavedModel(tmp_path)


def test_gzip_is_that_of_each_file(tmp_path):
    (tmp_path / "deep").mkdir()
    contents = {"a": b"a" * 9999, "deep/b": os.urandom(500)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert bytes_of(tmp_path) == 9999 + 500
    assert gzip_bytes_of(tmp_path) == sum(len(gzip.compress(content, 9)) for content in contents.values())


@pytest.mark.parametrize(
    ("paths", "calls", "error", "message"),
    [
        (["nosuch"], 1, ExportError, "nosuch is no directory. `zoo export`"),
        (["."], 1, ExportError, "holds saved_model.pb or model.tflite"),
        ([], 1, InvalidValueError, "one or more version directories"),
        (["model"], 0, InvalidValueError, "`calls` must be at least 1"),
    ],
    ids=["missing", "empty", "none", "calls"],
)
def test_wrong_use_is_refused_before_a_process_starts(paths, calls, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(error, match=message):
        measure([Path(path) for path in paths], calls=calls)


@pytest.mark.parametrize(
    ("code", "told", "message"),
    [
        (
            -signal.SIGABRT,
            b"I0000 hello\nF0000 Check failed: rank\n",
            "ended by SIGABRT. Its last messages:\nI0000 .*rank",
        ),
        (1, b"", "ended with status 1. It said nothing."),
        (0, b"odd", "ended with status 0. Its last messages:\nodd"),
    ],
    ids=["signal", "silent", "no-answer"],
)
def test_end_of_the_process_is_told_with_its_last_messages(code, told, message, directories, monkeypatch):
    ended = subprocess.CompletedProcess([], code, b"", told)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(ExportError, match=f"(?s){message}"):
        measure([directories["small"]])


def test_other_systems_are_told_what_is_missing(directories, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ExportError, match="Linux only"):
        measure([directories["small"]])


class Fake(AbstractEngine):
    """An engine for signatures of a given batch axis, which keeps what it was called with."""

    FILE = "fake"

    def __init__(self, batch=None):
        self.batch, self.calls = batch, []

    @staticmethod
    def start():
        pass

    def specs(self):
        return [InputSpec("frames", (self.batch, 8), "float32"), InputSpec("length", (self.batch, None), "int64")]

    def call(self, inputs):
        self.calls.append(inputs)
        return {}


def test_examples_are_repeated_to_the_rows_asked_for():
    fake = Fake()
    lengths = np.arange(3).reshape(3, 1)
    measure_process._caller(fake, Path("m"), {"frames": FRAMES, "length": lengths}, 32)()
    assert fake.calls[-1]["length"][:, 0].tolist() == [row % 3 for row in range(32)]
    np.testing.assert_array_equal(fake.calls[-1]["frames"][3:6], FRAMES)


def test_inputs_are_made_from_the_signature():
    fake = Fake()
    measure_process._caller(fake, Path("m"), None, 32)()
    assert {name: (array.shape, array.dtype) for name, array in fake.calls[-1].items()} == {
        "frames": ((32, 8), np.float32),
        "length": ((32, measure_process.FREE_SIZE), np.int64),
    }


def test_one_row_at_a_time_where_the_signature_takes_one():
    fake = Fake(1)
    call = measure_process._caller(fake, Path("m"), None, 32)
    fake.calls.clear()
    call()
    assert [inputs["frames"].shape for inputs in fake.calls] == [(1, 8)] * 32


def test_what_a_signature_does_not_take_is_told():
    with pytest.raises(ExportError, match="m takes frames, length. Received examples of: frames."):
        measure_process._caller(Fake(), Path("m"), {"frames": FRAMES}, 1)
    with pytest.raises(ExportError, match=r"batches of \{4\} rows"):
        measure_process._caller(Fake(4), Path("m"), None, 1)

    class Broken(Fake):
        def call(self, inputs):
            return inputs["nosuch"]

    with pytest.raises(ExportError, match="m does not answer 1 rows: KeyError: 'nosuch'"):
        measure_process._caller(Broken(), Path("m"), None, 1)


def test_calls_take_turns_and_the_first_turn_does_not_count():
    called = []
    times = measure_process.timed_in_turns([lambda: called.append("a"), lambda: called.append("b")], 15)
    assert "".join(called) == ("a" * 10 + "b" * 10) * 3
    assert [len(seconds) for seconds in times] == [20, 20]


forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a process with threads, from Python 3.12 on


@forks
def test_load_is_measured_in_a_fork(monkeypatch):
    class Engine(Fake):
        def __init__(self, path):
            # Not from the heap, where this process may hold freed memory: each page is new.
            self.weights = mmap.mmap(-1, 40_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for place in range(0, len(self.weights), mmap.PAGESIZE):
                self.weights[place] = 1

    monkeypatch.setattr(measure_process, "engine_of", lambda path: Engine)
    found = measure_process._in_a_fork(Path("m"))
    assert found["memory_mb"] == pytest.approx(40, abs=15)  # the heap of a process that ran other tests has a history
    assert found["load_ms"] > 0


@forks
@pytest.mark.parametrize(
    ("ending", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended the process by SIGKILL"),
        (lambda: os._exit(3), "ended the process with status 3"),
        (lambda: [][0], "m cannot be loaded: IndexError: list index out of range"),
    ],
    ids=["signal", "status", "error"],
)
def test_load_that_fails_is_told_with_its_directory(ending, message, monkeypatch):
    class Engine(Fake):
        def __init__(self, path):
            ending()

    monkeypatch.setattr(measure_process, "engine_of", lambda path: Engine)
    with pytest.raises(ExportError, match=message):
        measure_process._in_a_fork(Path("m"))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
def test_damaged_model_is_named(engine, tmp_path):
    (tmp_path / engine.FILE).write_bytes(b"damaged")
    with pytest.raises(ExportError, match=f"{tmp_path} cannot be loaded"):
        measure([tmp_path])
