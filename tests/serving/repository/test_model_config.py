import pathlib

import pytest

from serving.errors import UsageError
from serving.repository.model_config import ModelsReader, all_versions, read_models

VERSIONS = (1, 2, 3, 7)


def test_without_a_file_every_directory_is_a_model(tmp_path: pathlib.Path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    models = read_models(tmp_path, default=all_versions)
    assert [(model.name, model.base_path) for model in models] == [("a", tmp_path / "a"), ("b", tmp_path / "b")]


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [7]),
        ("model_version_policy { latest { num_versions: 2 } }", [3, 7]),
        ("model_version_policy { all {} }", [1, 2, 3, 7]),
        ("model_version_policy { specific { versions: 2 versions: 5 } }", [2]),
    ],
    ids=["none", "latest", "all", "specific"],
)
def test_policies(tmp_path, policy, served):
    (tmp_path / "models.config").write_text(f'model_config_list {{ config {{ name: "m" {policy} }} }}')
    (model,) = read_models(tmp_path, default=all_versions)
    assert model.policy(VERSIONS) == served


def test_labels_and_only_the_models_listed(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "models.config").write_text(
        'model_config_list { config { name: "m" version_labels { key: "stable" value: 3 } } }'
    )
    (model,) = read_models(tmp_path, default=all_versions)
    assert (model.name, model.labels) == ("m", {"stable": 3})


@pytest.mark.parametrize(
    ("base_path", "want"),
    [("/nowhere/m", "m"), ("elsewhere", "elsewhere"), ("", "m")],
    ids=["of a container", "relative", "none"],
)
def test_base_path(tmp_path, base_path, want):
    for name in ("m", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "models.config").write_text(f'model_config_list {{ config {{ name: "m" base_path: "{base_path}" }} }}')
    (model,) = read_models(tmp_path, default=all_versions)
    assert model.base_path == tmp_path / want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "no ModelServerConfig"),
        ("unknown_field: 1", "no ModelServerConfig"),
        ("", "must hold a `model_config_list .* half written"),
        ("# nothing\n", "half written"),
        ("custom_model_config {}", "Received: `custom_model_config`"),
        ('model_config_list { config { base_path: "/x" } }', "needs a `name`"),
        ('model_config_list { config { name: "m" } config { name: "m" } }', "Received twice: m"),
    ],
    ids=["cut off", "unknown field", "empty", "comment", "custom", "no name", "name twice"],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    (tmp_path / "models.config").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_models(tmp_path, default=all_versions)


def test_an_empty_list_is_allowed(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "models.config").write_text("model_config_list {}")
    assert read_models(tmp_path, default=all_versions) == []


def test_a_file_that_was_there_may_not_vanish(tmp_path):
    (tmp_path / "m").mkdir()
    read = ModelsReader(tmp_path, default=all_versions)
    assert [model.name for model in read()] == ["m"]
    config = tmp_path / "models.config"
    config.write_text('model_config_list { config { name: "listed" } }')
    assert [model.name for model in read()] == ["listed"]
    config.unlink()
    with pytest.raises(UsageError, match="models.config is gone"):
        read()
    config.write_text('model_config_list { config { name: "again" } }')
    assert [model.name for model in read()] == ["again"]


def test_a_root_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match="nosuch cannot be read"):
        read_models(tmp_path / "nosuch", default=all_versions)
