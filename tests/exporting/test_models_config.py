"""models.config of an export's root: entries kept, one writer at a time, nothing left by what fails."""

import pathlib
import threading

import keras
import pytest

import zoo
from zoo.errors import ExportError
from zoo.exporting import models_config


def model():
    x = keras.Input((4,), name="x")
    return keras.Model({"x": x}, {"logits": keras.layers.Dense(3, name="logits")(x)})


def test_models_config_keeps_what_is_there(tmp_path):
    (tmp_path / "models.config").write_text(
        'model_config_list { config { name: "old" base_path: "/models/old" model_platform: "tensorflow" '
        'version_labels { key: "stable" value: 3 } } }'
    )
    zoo.export(model(), tmp_path, name="new", serving_root="/models/")
    text = (tmp_path / "models.config").read_text()
    assert 'key: "stable"' in text
    assert 'base_path: "/models/new"' in text
    zoo.export(model(), tmp_path, name="new")
    assert (tmp_path / "models.config").read_text() == text
    (tmp_path / "models.config").write_text("not a { proto")
    with pytest.raises(ExportError, match=r"no ModelServerConfig.*Nothing was published"):
        zoo.export(model(), tmp_path, name="new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["1", "2"]


def test_base_path_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f'base_path: "{tmp_path.resolve()}/models/m"' in models_config.with_model(pathlib.Path("models"), "m", None)


def test_exports_into_one_root_at_a_time_keep_each_others_entry(tmp_path):
    (tmp_path / "models.config").write_text("# mine\n")
    inside, go_on = threading.Event(), threading.Event()

    def first():
        with models_config.adding_model(tmp_path, "a", None):
            inside.set()
            go_on.wait(10)

    def second():
        with models_config.adding_model(tmp_path, "b", None):
            pass

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    threads[1].join(0.3)
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join(10)
    text = (tmp_path / "models.config").read_text()
    assert 'name: "a"' in text
    assert 'name: "b"' in text
    with models_config.adding_model(tmp_path, "a", None):
        pass
    assert (tmp_path / "models.config").read_text() == text


def test_a_version_that_does_not_appear_leaves_models_config_alone(tmp_path):
    with pytest.raises(ValueError, match="rename"), models_config.adding_model(tmp_path, "a", None):
        raise ValueError("rename")
    assert list(tmp_path.iterdir()) == []


def test_serving_root_given_later_moves_the_entry(tmp_path):
    for serving_root, expected in ((None, tmp_path.resolve()), ("/models/", "/models"), (None, "/models")):
        with models_config.adding_model(tmp_path, "a", serving_root):
            pass
        text = (tmp_path / "models.config").read_text()
        assert text.count("config {") == 1
        assert f'base_path: "{expected}/a"' in text
