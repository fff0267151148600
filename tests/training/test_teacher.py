"""A run that learns from another: its config, its teacher's share, and teachers that do not fit."""

import dataclasses
import json

import descriptors
import pytest

from zoo.compression.distill import Distill
from zoo.config import apply_overrides, from_json, to_json
from zoo.errors import CompressionError, InvalidValueError, RunDirectoryError, UnknownNameError, UsageError
from zoo.features.augmentation import RandomFlip
from zoo.training.history import read_history
from zoo.training.loop import train
from zoo.training.run_directory import RunDirectory
from zoo.training.teacher import teacher_of

TINY = descriptors.MODELS["mlp"]["dense"].experiment(epochs=3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return train(TINY, tmp_path_factory.mktemp("runs") / "teacher")


def taught_by(run, **settings):
    student = apply_overrides(TINY, ["model.units=[4]"])
    return dataclasses.replace(student, distill=Distill(teacher=str(run.path), **settings))


def test_config_goes_to_json_and_back_and_takes_overrides():
    taught = apply_overrides(TINY, ["distill.teacher=runs/x", "distill.weight=0.25"])
    assert taught.distill == Distill(teacher="runs/x", weight=0.25)
    assert from_json(json.loads(json.dumps(to_json(taught)))) == taught
    assert apply_overrides(taught, ["distill=none"]) == TINY
    with pytest.raises(UnknownNameError, match="'wait'.*Did you mean 'weight'"):
        apply_overrides(TINY, ["distill.wait=0.25"])
    with pytest.raises(UsageError, match="`distill` is a group of fields"):
        apply_overrides(TINY, ["distill=runs/x"])
    document = to_json(taught)
    document["distill"]["heat"] = 3
    with pytest.raises(UnknownNameError, match="field of `distill`: 'heat'"):
        from_json(document)


def test_a_student_follows_its_teacher_and_is_a_run_like_any_other(teacher, tmp_path):
    experiment = apply_overrides(taught_by(teacher, weight=1.0), ["training.epochs=12", "training.learning_rate=0.02"])
    run = train(experiment, tmp_path / "student")
    assert run.experiment() == experiment
    assert "validation" in run.metrics()
    assert set(run.load_model().output) == {"logits"}
    rows = read_history(run.history_path)
    # The labels have no share: it is the distance to the teacher alone that falls, far below the loss of the labels.
    assert rows[-1]["loss"] < 0.1 * rows[0]["loss"] < 0.1 * rows[-1]["val_loss"]
    assert train(experiment, run.path, resume=True).path == run.path
    with pytest.raises(RunDirectoryError, match="another experiment"):
        train(dataclasses.replace(experiment, distill=None), run.path, resume=True)


def test_teachers_that_do_not_fit_are_refused_before_a_directory_is_made(teacher, tmp_path):
    target = tmp_path / "student"
    experiment = taught_by(teacher)
    with pytest.raises(InvalidValueError, match=r"`distill.teacher` must be a run directory"):
        train(dataclasses.replace(experiment, distill=Distill()), target)
    with pytest.raises(RunDirectoryError, match="no run"):
        train(dataclasses.replace(experiment, distill=Distill(teacher=str(tmp_path / "none"))), target)
    with pytest.raises(CompressionError, match="the same data"):
        train(dataclasses.replace(experiment, data=dataclasses.replace(TINY.data, num_train=80)), target)  # pyright: ignore[reportCallIssue]
    with pytest.raises(CompressionError, match="the same features"):
        train(apply_overrides(experiment, ["features.0.max_value=16"]), target)
    wider = apply_overrides(experiment, ["model.num_classes=4"])
    with pytest.raises(CompressionError, match="the same outputs"):
        train(wider, target)
    assert not target.exists()


def test_augmentation_may_differ(teacher):
    student = taught_by(teacher)
    student = dataclasses.replace(
        student, features=(RandomFlip(), *RunDirectory.open(teacher.path).experiment().features)
    )
    assert teacher_of(student.distill, student) is not None
