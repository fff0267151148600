"""Tokens and their file: who is known, until when, what a malformed file is told, and how a changed one is taken."""

import datetime
import json
import logging
import os
import pathlib
import string
from typing import Any

import grpc
import pytest

from serving.errors import RequestError, UsageError
from serving.security.access import AccessList, Right, Rule, parse_rule
from serving.security.token_entries import dump, parse
from serving.security.token_store import change_entries
from serving.security.tokens import TokensFile, make_token, split_token

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.UTC)
RULES = (Rule(models=("digits*",), rights=frozenset({Right.PREDICT})),)


class Clock:
    def __init__(self, now: float = 0.0):
        self.now = now

    def __call__(self) -> float:
        return self.now


class Store:
    """A tokens file that is read with clocks of its own."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.clock = Clock()
        self.wall_clock = Clock(NOW.timestamp())
        self.tokens: dict[str, str] = {}

    def add(self, name: str, **options: Any) -> str:
        made = make_token(name, options.pop("rules", RULES), now=NOW, **options)
        change_entries(self.path, lambda entries: [*entries, made.entry])
        self.tokens[name] = made.token
        return made.token

    def open(self) -> TokensFile:
        return TokensFile(self.path, clock=self.clock, wall_clock=self.wall_clock)


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path / "tokens.json")
    made.add("alice")
    return made


def test_a_token_is_known_by_its_secret_and_not_by_its_id(store):
    token = store.add("bob")
    file = store.open()
    caller = file.find(token)
    assert caller is not None
    assert caller.name == "bob"
    assert caller.may("predict", "digits-small")
    for wrong in (
        token[:-1],
        token + "x",
        token.upper(),
        f"serving_{split_token(token)}_{'A' * 43}",
        "",
        "x",
        "serving__",
    ):
        assert file.find(wrong) is None
    assert file.find(token.replace(split_token(token), split_token(store.tokens["alice"]))) is None


def test_two_tokens_are_never_alike_and_the_file_holds_none(store):
    tokens = [store.add(f"n{i}") for i in range(20)]
    secrets = {token.split("_", 2)[2] for token in tokens}
    assert len(secrets) == 20
    assert all(
        len(secret) == 43 and set(secret) <= set(string.ascii_letters + string.digits + "-_") for secret in secrets
    )
    content = store.path.read_text()
    assert not any(secret in content for secret in secrets)


def test_equal_tokens_have_different_hashes():
    """So that two files cannot be compared; by the salt."""
    made = [make_token("a", RULES, now=NOW).entry for _ in range(2)]
    assert made[0].salt != made[1].salt


def test_an_expired_token_is_refused_by_the_wall_clock(store):
    token = store.add("bob", expires=NOW + datetime.timedelta(hours=1))
    file = store.open()
    store.wall_clock.now += 3599
    assert file.find(token) is not None
    store.wall_clock.now += 1
    with pytest.raises(RequestError, match="has expired") as caught:
        file.find(token)
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert file.find(token[:-1]) is None  # who has it not learns nothing
    store.wall_clock.now -= 7200  # the clock was set back
    assert file.find(token) is not None


def test_a_certificate_stands_for_a_caller(store):
    store.add("proxy", certificate="proxy.example.org", expires=NOW + datetime.timedelta(hours=1))
    file = store.open()
    caller = file.find_certificate("proxy.example.org")
    assert caller is not None
    assert caller.name == "proxy"
    assert file.find_certificate("other") is None
    store.wall_clock.now += 3600
    with pytest.raises(RequestError, match="certificate has expired"):
        file.find_certificate("proxy.example.org")


def test_an_entry_with_a_certificate_alone_is_nobodys_token(tmp_path):
    (tmp_path / "t.json").write_text(
        json.dumps({"tokens": [{"id": "a", "name": "p", "certificate": "cn", "rules": [rule_of("*", "predict")]}]})
    )
    assert TokensFile(tmp_path / "t.json").find("serving_a_x") is None


def test_a_changed_file_is_taken_within_a_second(store):
    file = store.open()
    token = store.add("bob")
    assert file.find(token) is None
    store.clock.now += 1.0
    assert file.find(token) is not None
    change_entries(store.path, lambda entries: [entry for entry in entries if entry.name != "bob"])
    assert file.find(token) is not None
    store.clock.now += 1.0
    assert file.find(token) is None
    assert file.find(store.tokens["alice"]) is not None


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_text('{"tokens": ['), lambda path: path.unlink()], ids=["broken", "gone"]
)
def test_a_broken_new_file_keeps_the_old_one(store, spoil, caplog):
    file = store.open()
    good = store.path.read_text()
    spoil(store.path)
    with caplog.at_level(logging.ERROR, "serving"):
        for _ in range(5):
            store.clock.now += 1.0
            assert file.find(store.tokens["alice"]) is not None
    assert caplog.text.count("event=tokens_kept") == 1
    store.path.write_text(good)
    token = store.add("bob")
    store.clock.now += 1.0
    assert file.find(token) is not None


def test_the_file_is_looked_at_once_a_second_at_most(store, monkeypatch):
    file = store.open()
    looks = []
    monkeypatch.setattr("serving.security.tokens._identity", lambda path: looks.append(path) or file._table.identity)
    for i in range(31):
        store.clock.now = i * 0.1
        file.find(store.tokens["alice"])
    assert len(looks) == 3


def test_a_file_that_everyone_may_write_is_refused_and_one_they_may_read_is_told(store, caplog):
    store.path.chmod(0o644)
    store.open()
    assert "event=tokens_readable" in caplog.text
    store.path.chmod(0o666)
    with pytest.raises(UsageError, match="chmod 600"):
        store.open()


def test_the_file_is_its_owners_alone_and_keeps_a_mode_it_was_given(store):
    assert store.path.stat().st_mode & 0o777 == 0o600
    store.path.chmod(0o640)
    store.add("bob")
    assert store.path.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in store.path.parent.iterdir()] == ["tokens.json"]


def test_what_a_server_could_not_read_is_not_written(store):
    before = store.path.read_text()
    for name in ("", "two\nlines", "x" * 101):
        with pytest.raises(UsageError, match="name must be 1 to 100 printable characters"):
            store.add(name)
    assert store.path.read_text() == before


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="serving token create NAME --file"):
        TokensFile(tmp_path / "no.json")


def rule_of(model: str, *rights: str) -> dict[str, list[str]]:
    return {"models": [model], "rights": list(rights)}


GOOD = {"id": "ab12", "name": "alice", "salt": "00" * 16, "hash": "11" * 32, "rules": [rule_of("*", "predict")]}
MALFORMED: dict[str, tuple[Any, str]] = {
    "cut off": ('{"tokens": [\n  {"id": ', "line 2, column"),
    "not UTF-8": (b"\xff\xfe", "is no JSON"),
    "deep": ("[" * 100_000, "is no JSON"),
    "a list": ([], "the file must be an object"),
    "no tokens": ({}, "the file lacks `tokens`"),
    "tokens no list": ({"tokens": {}}, "tokens must be a list"),
    "entry no object": ({"tokens": [1]}, "tokens[0] must be an object"),
    "unknown field": ({"tokens": [{**GOOD, "expire": "2027-01-01"}]}, "tokens[0] has an unknown field `expire`"),
    "no rules": ({"tokens": [{**GOOD, "rules": None}]}, "tokens[0].rules must be a list"),
    "no name": ({"tokens": [GOOD, {k: v for k, v in GOOD.items() if k != "name"}]}, "tokens[1] lacks `name`"),
    "right": (
        {"tokens": [{**GOOD, "rules": [rule_of("*", "predict", "root")]}]},
        "tokens[0].rules[0].rights[1] must be one of",
    ),
    "right no text": ({"tokens": [{**GOOD, "rules": [{"models": ["*"], "rights": [[]]}]}]}, "rights[0] must be one of"),
    "no rights": ({"tokens": [{**GOOD, "rules": [rule_of("*")]}]}, "`rights` must hold at least one"),
    "model": ({"tokens": [{**GOOD, "rules": [rule_of("", "predict")]}]}, "tokens[0].rules[0].models[0] must be"),
    "hash": ({"tokens": [{**GOOD, "hash": "zz"}]}, "tokens[0].hash must be 64 hexadecimal digits"),
    "hash without salt": ({"tokens": [{k: v for k, v in GOOD.items() if k != "salt"}]}, "both `salt` and `hash`"),
    "nothing to know it by": (
        {"tokens": [{k: v for k, v in GOOD.items() if k not in ("salt", "hash")}]},
        "or a `certificate`",
    ),
    "expires": ({"tokens": [{**GOOD, "expires": "soon"}]}, "tokens[0].expires must be a time like"),
    "expires a number": ({"tokens": [{**GOOD, "expires": 5}]}, "tokens[0].expires must be a time like"),
    "id twice": ({"tokens": [GOOD, GOOD]}, "each `id` may stand once"),
    "certificate twice": (
        {"tokens": [{**GOOD, "certificate": "cn"}, {**GOOD, "id": "cd", "certificate": "cn"}]},
        "each `certificate` may stand once",
    ),
    "field twice": ('{"tokens": [], "tokens": []}', "a field may stand once"),
}


@pytest.mark.parametrize(("content", "text"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_wrong_use_and_says_where(tmp_path, content, text):
    path = tmp_path / "tokens.json"
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    os.chmod(path, 0o600)
    with pytest.raises(UsageError) as caught:
        TokensFile(path)
    assert text in str(caught.value)
    assert "tokens.json" in str(caught.value)


def test_entries_are_written_and_read_alike():
    entries = [
        make_token("a", RULES, now=NOW, expires=NOW + datetime.timedelta(days=30), certificate="cn").entry,
        make_token("b", (*RULES, parse_rule("*:admin,metadata")), now=NOW).entry,
    ]
    assert parse(dump(entries).encode(), "x") == entries


@pytest.mark.parametrize(
    ("rules", "right", "model", "allowed"),
    [
        (["digits:predict"], "predict", "digits", True),
        (["digits:predict"], "predict", "digits2", False),
        (["digits:predict"], "predict", "Digits", False),
        (["digits:predict"], "metadata", "digits", False),
        (["d*s:predict"], "predict", "digits", True),
        (["d?:predict"], "predict", "d1", True),
        (["d?:predict"], "predict", "d12", False),
        (["d[12]:predict"], "predict", "d3", False),
        (["a.b:predict"], "predict", "aXb", False),
        (["a:predict", "b:metadata"], "metadata", "a", False),
        (["a:predict", "b:metadata"], "metadata", "b", True),
        (["a:predict"], "predict", "a\n", False),
        (["a:predict"], "predict", "", True),
        (["a:predict"], "metadata", "", False),
        (["a:admin"], "admin", "", False),
        (["*:admin"], "admin", "", True),
        (["*:admin"], "predict", "a", False),
        (["*:predict"], "nosuch", "a", False),
        ([], "predict", "a", False),
    ],
)
def test_a_right_is_had_where_a_rule_gives_it(rules, right, model, allowed):
    assert AccessList(map(parse_rule, rules)).allows(right, model) is allowed


@pytest.mark.parametrize("text", ["digits", ":predict", "digits:", "digits:fly", "digits:predict,"])
def test_a_rule_of_another_form_is_wrong_use(text):
    with pytest.raises(UsageError):
        parse_rule(text)
