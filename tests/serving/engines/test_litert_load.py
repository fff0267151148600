"""Which files load, which engine takes them, and what loading costs."""

import errno
import gc
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import grpc
import litert_files
import numpy as np
import pytest

from serving.engines import litert, litert_trial
from serving.engines.choice import open_predictor
from serving.engines.litert import LiteRTPredictor, is_passing
from serving.engines.tensorflow import TensorFlowPredictor
from serving.errors import ModelLoadError


@pytest.fixture
def version(lite_models: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of `images`, SavedModel and all."""
    return pathlib.Path(shutil.copytree(lite_models / "images", tmp_path / "1"))


def cut(share: float) -> Callable[[pathlib.Path], None]:
    def damage(file: pathlib.Path) -> None:
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * share)])

    return damage


DAMAGES: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "missing": (lambda file: file.unlink(), "^1: no model.tflite in .*is the copy complete"),
    "a directory": (lambda file: (file.unlink(), file.mkdir()), "no model.tflite"),
    "of no bytes": (lambda file: file.write_bytes(b""), "^1: model.tflite cannot be loaded: "),
    "of garbage": (lambda file: file.write_bytes(b"\xff" * 500), "cannot be loaded"),
    "cut to a tenth": (cut(0.1), "cannot be loaded"),
    "cut in half": (cut(0.5), "cannot be loaded"),
    "cut at the end": (cut(0.99), "cannot be loaded"),
}


@pytest.mark.parametrize(("damage", "text"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_does_not_load(version, damage, text):
    LiteRTPredictor(version, verified=True).close()  # whole, it does
    damage(version / "model.tflite")
    with pytest.raises(ModelLoadError, match=text):
        LiteRTPredictor(version, verified=True)


@pytest.mark.parametrize(
    ("op", "text"),
    [
        ("FlexStringLower", "operations of TensorFlow that LiteRT alone does not have: FlexStringLower. Convert"),
        ("Unheard", "operations that LiteRT does not have: Unheard. Convert"),
    ],
)
def test_operations_of_others_are_named(lite_models, tmp_path, op, text):
    path = litert_files.changed(lite_models / "images", tmp_path / "1", litert_files.make_custom(op))
    with pytest.raises(ModelLoadError, match=text) as caught:
        LiteRTPredictor(path, verified=True)
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED


def test_a_graph_that_fits_at_no_size_does_not_load(lite_models, tmp_path):
    path = litert_files.changed(lite_models / "recurrent", tmp_path / "1", litert_files.make_state_unfit)
    with pytest.raises(ModelLoadError, match="^1: model.tflite cannot be loaded: .*failed to prepare"):
        LiteRTPredictor(path, verified=True)


def test_operations_without_options_do_not_load(lite_models, tmp_path):
    path = litert_files.changed(lite_models / "images", tmp_path / "1", litert_files.make_options_missing)
    with pytest.raises(ModelLoadError, match="^1: model.tflite cannot be loaded: "):
        LiteRTPredictor(path, verified=True)


def test_a_file_that_nobody_vouches_for_is_tried_elsewhere(lite_models, tmp_path):
    fatal = litert_files.changed(lite_models / "images", tmp_path / "2", litert_files.make_pool_impossible)
    with pytest.raises(ModelLoadError, match="^2: model.tflite (is damaged|cannot be loaded)"):
        LiteRTPredictor(fatal)


@pytest.mark.parametrize("name", ["images", "two", "types", "recurrent"])
def test_the_trial_runs_every_signature_on_zeros(lite_models, monkeypatch, name):
    asked, answered = [], []
    run = LiteRTPredictor.run

    def note(self: LiteRTPredictor, key: str, inputs: list[np.ndarray]) -> None:
        asked.append(key)
        run(self, key, inputs)
        answered.append(key)

    monkeypatch.setattr(LiteRTPredictor, "run", note)
    litert_trial.main(lite_models / name)
    keys = [*LiteRTPredictor(lite_models / name, verified=True).signatures]
    assert sorted(asked) == sorted(keys * len(litert_trial.OPEN_SIZES))
    assert set(answered) == set(keys)


ENDS = {
    "crash": ("kill -SEGV $$", ModelLoadError, "damaged: the process that tried it ended by SIGSEGV"),
    "abort": ("kill -ABRT $$", ModelLoadError, "ended by SIGABRT"),
    "hang": ("exec sleep 20", ModelLoadError, "did not load and answer within"),
    "killed": ("kill -KILL $$", MemoryError, "killed, as for want of memory"),
}


@pytest.mark.parametrize(("script", "error", "text"), ENDS.values(), ids=ENDS)
def test_how_the_trial_ends_is_the_reason(version, tmp_path, monkeypatch, script, error, text):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(litert, "TRIAL_TIMEOUT_S", 0.3 if "sleep" in script else 20.0)
    with pytest.raises(error, match=text):
        LiteRTPredictor(version)


def test_an_error_in_the_trial_is_told_by_the_process_that_asked(version, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (version / "model.tflite").write_bytes(b"garbage")
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        LiteRTPredictor(version)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(errno.EMFILE, "too many open files"), True),
        (MemoryError(), True),
        (OSError("no number"), False),
        (ValueError("damaged"), False),
        (ModelLoadError("damaged"), False),
    ],
    ids=["files", "memory", "own OSError", "ValueError", "ModelLoadError"],
)
def test_what_is_no_fault_of_the_file_passes(error, passing):
    assert is_passing(error) is passing


def test_want_of_files_is_not_laid_on_the_file(version, monkeypatch):
    def refuse(*_: object) -> bytes:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(OSError, match="too many") as caught:
        LiteRTPredictor(version, verified=True)
    assert is_passing(caught.value)


def test_closing_frees_the_memory(lite_models):
    """4 MB of weights, held twice: in the file's bytes and packed for the kernel."""
    row = [np.ones((1, 1024), np.float32)]

    def cycle() -> None:
        predictor = LiteRTPredictor(lite_models / "two", verified=True)
        predictor.run("dense", row)
        predictor.close()

    for _ in range(5):
        cycle()
    before = resident_mb()
    for _ in range(50):
        cycle()
    assert resident_mb() - before < 20


def resident_mb() -> float:
    gc.collect()
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


TAKEN = {
    "both, auto": ("both", "auto", TensorFlowPredictor),
    "both, tensorflow": ("both", "tensorflow", TensorFlowPredictor),
    "both, litert": ("both", "litert", LiteRTPredictor),
    "SavedModel, litert": ("saved_model", "litert", TensorFlowPredictor),
    "SavedModel, auto": ("saved_model", "auto", TensorFlowPredictor),
    "model.tflite, auto": ("litert", "auto", LiteRTPredictor),
    "model.tflite, litert": ("litert", "litert", LiteRTPredictor),
    "model.tflite, tensorflow": ("litert", "tensorflow", "only a model.tflite, and this server serves SavedModels"),
    "neither, auto": ("neither", "auto", "no saved_model.pb or model.tflite"),
}


@pytest.mark.parametrize(("files", "prefer", "taken"), TAKEN.values(), ids=TAKEN)
def test_which_engine_takes_a_version(version, files, prefer, taken):
    if files in ("saved_model", "neither"):
        (version / "model.tflite").unlink()
    if files in ("litert", "neither"):
        (version / "saved_model.pb").unlink()
    if isinstance(taken, str):
        with pytest.raises(ModelLoadError, match=taken):
            open_predictor(version, prefer=prefer, verified=True)
        return
    predictor = open_predictor(version, prefer=prefer, verified=True)
    assert type(predictor) is taken
    predictor.close()


def test_importing_the_engine_does_not_import_tensorflow():
    code = "import sys, serving.engines.choice, serving.engines.litert; print('tensorflow' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
