"""What is read of a root, and what would keep a stock server from starting."""

import pytest

from serving.deploy.root import Version, read_root
from serving.deploy.sizing import memory_of
from serving.errors import UsageError


def entry(name: str, rest: str = "", base_path: str | None = None) -> str:
    path = f"/elsewhere/{name}" if base_path is None else base_path
    return f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {rest} }}'


def config(*entries: str) -> str:
    return f"model_config_list {{ {' '.join(entries)} }}"


SPECIFIC_7 = "model_version_policy { specific { versions: 7 } }"


def numbers(root) -> dict[str, list[int]]:
    return {model.name: [version.number for version in model.versions] for model in root.models}


def test_without_a_config_every_version_of_every_model_is_served(make_root):
    path = make_root({"b": {2: "2.20.0", 10: "2.21.0"}, "a": {1: "2.19.0"}})
    (path / "lost+found").mkdir()
    (path / ".git" / "1").mkdir(parents=True)
    (path / "a" / "notes").mkdir()
    root = read_root(path)
    assert numbers(root) == {"a": [1], "b": [2, 10]}
    assert [version.tensorflow for version in root.versions] == ["2.19.0", "2.20.0", "2.21.0"]
    assert root.config.count("all {") == 2


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [3]),
        ("model_version_policy { all {} }", [1, 2, 3]),
        ("model_version_policy { latest { num_versions: 2 } }", [2, 3]),
        ("model_version_policy { specific { versions: 1 versions: 3 versions: 9 } }", [1, 3]),
    ],
    ids=["default", "all", "latest", "specific"],
)
def test_the_policy_is_kept(make_root, policy, served):
    root = read_root(make_root({"m": dict.fromkeys((1, 2, 3), "2.21.0")}, config(entry("m", policy))))
    assert numbers(root) == {"m": served}
    assert read_again(root.config, root.path) == served


def read_again(text: str, path) -> list[int]:
    (path / "models.config").write_text(text)
    return numbers(read_root(path))["m"]


def test_labels_policy_and_path_are_written_for_the_container(make_root):
    rest = 'version_labels { key: "stable" value: 1 } model_version_policy { specific { versions: 1 } }'
    text = read_root(make_root({"m": {1: "2.21.0"}}, config(entry("m", rest)))).config
    assert [line.strip() for line in text.splitlines()] == [
        "model_config_list {", "config {", 'name: "m"', 'base_path: "/models/m"', 'model_platform: "tensorflow"',
        "model_version_policy {", "specific {", "versions: 1", "}", "}",
        "version_labels {", 'key: "stable"', "value: 1", "}", "}", "}",
    ]  # fmt: skip


def test_a_model_that_the_config_does_not_list_is_named(make_root):
    root = read_root(make_root({"m": {1: "2.21.0"}, "other": {1: "2.21.0"}}, config(entry("m"))))
    assert numbers(root) == {"m": [1]}
    assert "other" in root.warnings[0]


def test_a_base_path_inside_of_the_root_is_kept(make_root):
    path = make_root({"team/m": {1: "2.21.0"}})
    (path / "models.config").write_text(config(entry("m", base_path=str(path / "team" / "m"))))
    root = read_root(path)
    assert root.models[0].path == "team/m"
    assert '"/models/team/m"' in root.config


def test_a_version_without_manifest_tells_its_tensorflow_itself(make_root):
    root = read_root(make_root({"m": {1: None}}))
    assert (root.versions[0].tensorflow, root.versions[0].has_manifest) == ("2.21.0", False)
    assert "malformed request" in root.warnings[0]
    (root.path / "m" / "1" / "saved_model.pb").write_bytes(b"\xff\xff")
    assert read_root(root.path).versions[0].tensorflow is None


@pytest.mark.parametrize(
    ("models", "text", "message"),
    [
        ({}, None, "holds no model"),
        ({"m": {1: "2.21.0"}}, "model_config_list {", "no ModelServerConfig"),
        ({"m": {1: "2.21.0"}}, "model_config_list {}", "lists no model"),
        ({"m": {1: "2.21.0"}}, config(entry("m"), entry("m")), "Received twice: m"),
        ({"m": {1: "2.21.0"}}, config(entry("m"), entry("gone")), "no version that models.config serves"),
        ({"m": {1: "2.21.0"}}, config(entry("m", SPECIFIC_7)), "Versions there"),
        ({"m": {1: "2.21.0"}}, config(entry("m", 'version_labels { key: "new" value: 2 }')), "Label 'new'"),
        ({"m": {1: "2.21.0"}}, config(entry("../m")), "letters, digits"),
        ({"m": {1: "2.21.0"}}, config(entry("m;}")), "letters, digits"),
        ({"m": {1: "2.21.0"}}, config(entry("m", base_path="/")), "outside of"),
        ({"m": {1: "2.21.0"}}, config(entry("m", base_path="..")), "outside of"),
        ({"ein model": {1: "2.21.0"}}, None, "letters, digits"),
        ({"m$(id)": {1: "2.21.0"}}, None, "letters, digits"),
    ],
    ids=[
        "empty", "half written", "no list", "twice", "no versions", "none chosen", "label", "traversal", "quotes",
        "file system", "parent", "space", "shell",
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(make_root, models, text, message):
    with pytest.raises(UsageError, match=message):
        read_root(make_root(models, text))


def test_a_link_out_of_the_root_is_refused(make_root, tmp_path):
    path = make_root()
    (tmp_path / "outside" / "1").mkdir(parents=True)
    (path / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="outside of"):
        read_root(path)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda version: (version / "saved_model.pb").unlink(), "no saved_model.pb"),
        (lambda version: (version / "saved_model.pb").rename(version / "model.tflite"), "only a model.tflite"),
        (lambda version: (version / "assets.extra/manifest.json").write_text("{"), "cannot be read"),
        (lambda version: (version / "assets.extra/manifest.json").write_text("[]"), "one JSON object"),
        (lambda version: (version / "assets.extra/manifest.json").write_bytes(b"\xff"), "cannot be read"),
    ],
    ids=["empty", "LiteRT alone", "cut", "list", "no text"],
)
def test_a_broken_version_is_refused(make_root, break_it, message):
    path = make_root()
    break_it(path / "digits" / "1")
    with pytest.raises(UsageError, match=message):
        read_root(path)


def test_a_root_must_be_there(tmp_path):
    with pytest.raises(UsageError, match="ROOT must be a directory"):
        read_root(tmp_path / "nosuch")


def test_memory_counts_weights_where_the_files_are_packed(make_root):
    path = make_root(weights=50_000_000)
    version = read_root(path).versions[0]
    assert version.bytes < 1000 < version.loaded_bytes == 200_000_000
    small, large = Version(number=1, bytes=1000), Version(number=1, bytes=1000, weights=50_000_000)
    assert memory_of([small], max_body_mb=1).request_mib == 576
    memory = memory_of([large, small], max_body_mb=1)
    assert memory.request_mib == 896  # 512 + 2 x 190.7, in steps of 64
    assert memory.limit_mib == 1280  # + 2 x 190.7 + 4
    assert memory_of([large], max_body_mb=100).limit_mib > memory.limit_mib
