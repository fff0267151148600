"""The command `serving deploy`: what it prints, refuses, replaces and leaves alone."""

import json
import pathlib
import subprocess
import sys

import pytest

from serving.deploy import files as deploy_files
from serving.deploy.files import MARK

TARGETS = ("compose", "kubernetes", "kserve")


def snapshot(folder: pathlib.Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", TARGETS)
def test_json_lists_the_files(run, make_root, tmp_path, target):
    out = tmp_path / "new" / "out"
    status, output, error = run(target, make_root(), "--out", out, "--json")
    assert (status, error) == (0, "")
    document = json.loads(output)
    assert (document["target"], document["image"], document["warnings"]) == (target, "tensorflow/serving:2.21.0", [])
    assert {pathlib.Path(path) for path in document["files"]} == {path for path in out.rglob("*") if path.is_file()}
    assert all(MARK in text.splitlines()[0] for text in snapshot(out).values())
    assert [path.name for path in out.parent.iterdir()] == ["out"]  # nothing temporary stays


@pytest.mark.parametrize("target", ["", *TARGETS], ids=["group", *TARGETS])
def test_help_has_an_example(run, target):
    status, output, _ = run(*([target] if target else []), "--help")
    assert status == 0
    assert "Example: serving deploy" in output


def test_written_again_it_says_the_same_and_takes_its_own_leftovers_away(run, make_root, tmp_path):
    root, out = make_root(), tmp_path / "out"
    assert run("kubernetes", root, "--out", out)[0] == 0
    first = snapshot(out)
    assert run("kubernetes", root, "--out", out)[0] == 0
    assert snapshot(out) == first
    (out / "own.yaml").write_text("kind: Secret\n")
    assert run("compose", root, "--out", out)[0] == 0
    assert {name.partition("/")[0] for name in snapshot(out)} == {
        "README.md", "compose.yaml", "config", "front", "own.yaml",
    }  # fmt: skip


def test_files_of_others_are_not_replaced(run, make_root, tmp_path):
    root, out = make_root(), tmp_path / "out"
    out.mkdir()
    (out / "compose.yaml").write_text("services: {}\n")
    before = snapshot(out)
    status, _, error = run("compose", root, "--out", out)
    assert (status, snapshot(out)) == (2, before)
    assert "compose.yaml" in error
    assert "--force" in error
    assert run("compose", root, "--out", out, "--force")[0] == 0
    assert MARK in (out / "compose.yaml").read_text()


def test_a_link_is_not_followed(run, make_root, tmp_path):
    root, out, target = make_root(), tmp_path / "out", tmp_path / "target"
    out.mkdir()
    target.write_text(f"# {MARK}\n")
    (out / "compose.yaml").symlink_to(target)
    assert run("compose", root, "--out", out)[0] == 2
    assert run("compose", root, "--out", out, "--force")[0] == 0
    assert target.read_text() == f"# {MARK}\n"


def test_a_failed_write_leaves_what_was_there(run, make_root, tmp_path, monkeypatch):
    root, out = make_root(), tmp_path / "out"
    assert run("compose", root, "--out", out)[0] == 0
    before = snapshot(out)

    def full(name: str, text: str) -> str:
        if name == "README.md":
            raise OSError(28, "No space left on device")
        return text

    monkeypatch.setattr(deploy_files, "_marked", full)
    status, _, error = run("compose", root, "--out", out, "--replicas", 3)
    assert (status, snapshot(out)) == (1, before)
    assert "No space left" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "root"]


@pytest.mark.parametrize("place", ["root", "root/digits/deployment", "file"])
def test_a_wrong_place_is_refused(run, make_root, tmp_path, place):
    root = make_root()
    (tmp_path / "file").write_text("")
    status, _, error = run("compose", root, "--out", tmp_path / place)
    assert status == 2
    assert "`--out` must" in error


def test_a_skew_ends_with_2_and_is_warned_of_where_it_is_allowed(run, make_root, tmp_path):
    root, out = make_root({"digits": {1: "2.99.0"}}), tmp_path / "out"
    status, _, error = run("compose", root, "--out", out)
    assert (status, out.exists()) == (2, False)
    assert "Version skew" in error
    status, output, error = run("compose", root, "--out", out, "--allow-version-skew", "--json")
    assert status == 0
    assert "serving: warning: version skew, allowed" in error
    assert len(json.loads(output)["warnings"]) == 1
    assert run("compose", root, "--out", out, "--image", "tensorflow/serving:2.99.1")[0] == 0


def test_a_root_without_models_ends_with_2(run, make_root, tmp_path):
    status, output, error = run("kubernetes", make_root({}), "--out", tmp_path / "out")
    assert (status, output) == (2, "")
    assert "holds no model" in error


def test_a_foreign_version_is_warned_of(run, make_root, tmp_path):
    status, _, error = run("compose", make_root({"digits": {1: None}}), "--out", tmp_path / "out")
    assert status == 0
    assert "digits 1: no assets.extra/manifest.json" in error


def test_replicas_beyond_the_default_of_the_autoscaler(run, make_root, tmp_path):
    assert run("compose", make_root(), "--out", tmp_path / "out", "--replicas", 8)[0] == 0


def test_nothing_imports_tensorflow():
    check = (
        "import sys, serving.cli.deploy, serving.deploy.deployment; "
        "assert not {'tensorflow', 'tensorflow_serving', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
