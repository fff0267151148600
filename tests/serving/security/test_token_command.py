"""`serving token` as people and scripts use it."""

import json
import pathlib
import stat

import click
import pytest
from click.testing import CliRunner

from serving.cli.token import token as command
from serving.errors import UsageError
from serving.security.token_store import read_entries
from serving.security.tokens import TokensFile


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a sub-command in a directory of its own; standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[str, str]:
        result = CliRunner().invoke(command, arguments, catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    return call


def test_a_made_token_is_printed_once_and_works(run, tmp_path):
    out, err = run("create", "alice", "--allow", "digits*:predict,metadata", "--expires", "30d")
    assert err == ""
    token = out.strip()
    path = tmp_path / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    caller = TokensFile(path).find(token)
    assert caller is not None
    assert (caller.name, caller.may("predict", "digits1"), caller.may("admin", "digits1")) == ("alice", True, False)


def test_as_json(run):
    made = json.loads(
        run("create", "alice", "--allow", "a:predict", "--file", "t.json", "--certificate", "cn", "--json")[0]
    )
    assert made["token"].startswith(f"serving_{made['id']}_")
    assert (made["name"], made["certificate"], made["expires"], made["file"]) == ("alice", "cn", None, "t.json")
    (shown,) = json.loads(run("list", "--file", "t.json", "--json")[0])["tokens"]
    assert "token" not in shown
    assert "hash" not in shown
    assert shown["rules"] == [{"models": ["a"], "rights": ["predict"]}]
    revoked = json.loads(run("revoke", "alice", "--file", "t.json", "--json")[0])
    assert revoked == {"name": "alice", "revoked": [made["id"]], "file": "t.json"}
    assert read_entries(pathlib.Path("t.json")) == []


def test_a_token_is_replaced_without_a_gap(run):
    old = run("create", "alice", "--allow", "a:predict")[0].strip()
    new, err = run("create", "alice", "--allow", "a:predict")
    old_id = old.split("_")[1]
    assert f"serving token revoke alice --id {old_id}" in err
    file = TokensFile(pathlib.Path("tokens.json"))
    assert file.find(old) is not None
    assert file.find(new.strip()) is not None
    run("revoke", "alice", "--id", old_id)
    file = TokensFile(pathlib.Path("tokens.json"))
    assert file.find(old) is None
    assert file.find(new.strip()) is not None


def test_the_list_for_people(run):
    run("create", "alice", "--allow", "a:predict", "--allow", "*:admin", "--expires", "2999-01-31")
    run("create", "bob", "--allow", "b:metadata")
    first, second = run("list")[0].splitlines()
    assert first.endswith("alice  a:predict *:admin  expires 2999-01-31T00:00:00+00:00")
    assert second.endswith("bob  b:metadata  never expires")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("create", "x", "--allow", "digits"), "MODEL:right,right"),
        (("create", "x", "--allow", "digits:fly"), "one of predict, metadata, admin"),
        (("create", "x", "--allow", "a:predict", "--expires", "soon"), "must be like 30d"),
        (("create", "x", "--allow", "a:predict", "--expires", "2020-01-01"), "must lie ahead"),
        (("create", "x", "--allow", "a:predict", "--expires", "0d"), "must lie ahead"),
        (("create", "", "--allow", "a:predict"), "name must be"),
        (("create", "x", "--allow", "a:predict", "--file", "no/t.json"), "Make it first"),
        (("list", "--file", "none.json"), "cannot be read"),
        (("revoke", "alice", "--file", "none.json"), "cannot be read"),
        (("revoke", "alica"), "Did you mean 'alice'?"),
        (("revoke", "alice", "--id", "zz"), "has no token 'zz'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_use_says_what_to_do_and_changes_nothing(run, arguments, text):
    run("create", "alice", "--allow", "a:predict")
    before = pathlib.Path("tokens.json").read_text()
    with pytest.raises(UsageError) as caught:
        run(*arguments)
    assert text in str(caught.value)
    assert pathlib.Path("tokens.json").read_text() == before


@pytest.mark.parametrize("name", ["create", "list", "revoke"])
def test_help_has_an_example(run, name):
    assert f"Example: serving token {name} " in " ".join(run(name, "--help")[0].split())
    assert isinstance(command.commands[name], click.Command)


def test_a_link_to_the_file_stays_a_link(run, tmp_path):
    (tmp_path / "real").mkdir()
    run("create", "alice", "--allow", "a:predict", "--file", "real/t.json")
    pathlib.Path("tokens.json").symlink_to("real/t.json")
    run("create", "bob", "--allow", "a:predict")
    assert pathlib.Path("tokens.json").is_symlink()
    assert [entry.name for entry in read_entries(pathlib.Path("real/t.json"))] == ["alice", "bob"]
