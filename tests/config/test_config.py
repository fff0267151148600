"""Configurations: overrides by annotation, errors that name the field, files found by name and by path."""

from pathlib import Path
from typing import Any

import descriptors
import pytest

from zoo.config import Training, apply_overrides, find_config, from_json, list_configs, to_json
from zoo.errors import InvalidValueError, UnknownNameError, UsageError
from zoo.recipes.named import pruned_clustered

TINY = descriptors.MODELS["conv2d"]["dense"].experiment()


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("training.epochs=7", lambda e: e.training.epochs, 7),
        ("training.learning_rate=1e-4", lambda e: e.training.learning_rate, 1e-4),
        ("training.jit_compile=true", lambda e: e.training.jit_compile, True),
        ("training.optimizer=sgd", lambda e: e.training.optimizer, "sgd"),
        ("splits.validation=none", lambda e: e.splits.validation, None),
        ("splits.validation=train[90%:]", lambda e: e.splits.validation, "train[90%:]"),
        ("model.filters=[3,7]", lambda e: e.model.filters, (3, 7)),
        ("model.filters=3,5", lambda e: e.model.filters, (3, 5)),
        ("features.0.max_value=16", lambda e: e.features[0].max_value, 16.0),
    ],
    ids=lambda value: value if isinstance(value, str) and "=" in value else "",
)
def test_override_is_converted_by_annotation(override, read, expected):
    assert read(apply_overrides(TINY, [override])) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", r"path.to.field=value"),
        ("training.epoch=3", r"Unknown field in `training`: 'epoch'. Did you mean 'epochs'"),
        ("training.epochs=three", r"`training.epochs` must be int.*Received: 'three'"),
        ("training.epochs=2.5", r"`training.epochs` must be int"),
        ("training.optimizer=adm", r"'adam', 'adamw' or 'sgd'"),
        ("training.jit_compile=maybe", r"`training.jit_compile` must be bool"),
        ("model.filters=a", r"`model.filters`"),
        ("model=3", r"`model` is a group of fields"),
        ("name.x=3", r"`name` is a plain value"),
        ("features.4.max_value=3", r"Unknown item"),
        ("training.epochs=0", r"`epochs` must be at least 1. Received: epochs=0"),
        ("model.dropout=1.5", r"`dropout` must be at least 0 and below 1"),
        ("features.0.max_value=0", r"`max_value` must be above 0"),
    ],
    ids=lambda value: value if "=" in value else "",
)
def test_wrong_override_says_what_is_wrong(override, message):
    with pytest.raises(UsageError, match=message):
        apply_overrides(TINY, [override])


def test_recipe_takes_overrides_too():
    recipe: Any = apply_overrides(pruned_clustered(), ["transforms.0.sparsity=0.9", "epochs=5"])
    assert recipe.transforms[0].sparsity == 0.9
    assert recipe.epochs == 5
    several: Any = apply_overrides(pruned_clustered(), ["epochs=12,4", "learning_rate=[0.001, 5e-4]"])
    assert (several.epochs, several.learning_rate) == ((12, 4), (0.001, 5e-4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "conv3d"}}, r"Unknown model: 'conv3d'. Did you mean 'conv[12]d'"),
        ({"model": {"type": "conv2d"}}, r"`model` needs `num_classes`"),
        ({"model": 3}, r"`model` must be an object with a `type`"),
        ({"moddel": 3}, r"Unknown field of `Experiment`: 'moddel'. Did you mean 'model'"),
        ({"training": {"epochs": "x"}}, r"`training.epochs` must be int"),
    ],
    ids=["model", "missing", "no-type", "key", "value"],
)
def test_damaged_json_says_what_is_wrong(change, message):
    with pytest.raises(UsageError, match=message):
        from_json({**to_json(TINY), **change})


def test_config_is_found_by_path(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from zoo.config import find_config\ndef config():\n    return find_config('digits_cnn')\n")
    assert find_config(str(path)) == find_config("digits_cnn")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"no function `config"),
        ("def config(): return 3\n", r"must return an Experiment"),
        ("def (", r"no Python"),
    ],
    ids=["no-function", "no-experiment", "syntax"],
)
def test_file_that_is_no_config(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        find_config(str(path))


def test_unknown_config_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'mnist_cnn'"):
        find_config("mnist_cn")
    with pytest.raises(UsageError, match="There is no file"):
        find_config("nowhere/mine.py")


def test_every_config_says_its_command():
    assert set(list_configs()) >= {"digits_cnn", "mnist_cnn", "vowels_conv1d", "vowels_lstm", "vowels_gru"}
    assert all(summary.endswith(".") for summary in list_configs().values())


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 0},
        {"learning_rate": 0},
        {"weight_decay": 0.1},
        {"logical_cpus": 2, "strategy": "none"},
        {"seed": -1},
    ],
    ids=lambda fields: ",".join(fields),
)
def test_training_refuses(fields):
    with pytest.raises(InvalidValueError, match=next(iter(fields))):
        Training(epochs=1, **fields)


def test_overrides_are_made_together_whatever_their_order():
    overrides = ["training.weight_decay=0.1", "training.optimizer=adamw"]
    for order in (overrides, overrides[::-1]):
        training = apply_overrides(TINY, order).training
        assert (training.weight_decay, training.optimizer) == (0.1, "adamw")
    with pytest.raises(UsageError, match="`training` is set as a whole"):
        apply_overrides(TINY, ["training=1", "training.epochs=2"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs=", "epoch=", r"line \d+: TypeError: .*unexpected keyword argument 'epoch'"),
        ('schedule="cosine"', 'schedule="cosin"', "`training.schedule` must be .*Received: 'cosin'"),
        ("Packaged(", "Packed(", r"line \d+: NameError"),
    ],
    ids=["key", "value", "name"],
)
def test_slip_in_a_file_is_named(tmp_path, old, new, message):
    text = (Path(__file__).parents[2] / "configs" / "mnist_cnn.py").read_text()
    assert old in text
    (tmp_path / "mine.py").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=message):
        find_config(str(tmp_path / "mine.py"))


def test_early_stopping_needs_a_validation_split():
    with pytest.raises(InvalidValueError, match=r"early_stopping.*unless splits.validation is set"):
        apply_overrides(TINY, ["training.early_stopping=2", "splits.validation=none"])
