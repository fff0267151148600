"""Whatever comes in, from clients or from files, is answered by one of the errors meant for it."""

import base64
import contextlib
import datetime
import json
import pathlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import ModelLoadError, RequestError, UsageError
from serving.security.access import AccessList, Right, Rule, parse_rule
from serving.security.certificates import validity_of
from serving.security.gate import Call, Gate
from serving.security.graph_scan import scan
from serving.security.limits import Limiter, LimiterOptions, LimitError, host_of
from serving.security.token_entries import dump, parse
from serving.security.tokens import TokensFile, make_token

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
quick = settings(max_examples=120, deadline=None, database=None)
names = st.text(min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("id", "name", "rules", "salt", "hash", "certificate", "created", "expires", "models", "rights", "tokens")
likely = st.recursive(
    json_values | st.sampled_from(["predict", "admin", "00" * 16, "11" * 32, "a", "2027-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> tuple[TokensFile, str]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    made = make_token("alice", (parse_rule("digits:predict"),), now=NOW)
    path.write_text(dump([made.entry]))
    path.chmod(0o600)
    return TokensFile(path), made.token


@quick
@given(st.text() | st.from_regex(r"serving_[0-9a-f]{12}_.*"))
def test_no_other_token_comes_in(tokens, token):
    file, right = tokens
    assert (file.find(token) is not None) == (token == right)


@quick
@given(st.data())
def test_a_token_with_anything_changed_does_not_come_in(tokens, data):
    file, right = tokens
    position = data.draw(st.integers(0, len(right) - 1))
    character = data.draw(st.characters(codec="latin-1").filter(lambda drawn: drawn != right[position]))
    assert file.find(right[:position] + character + right[position + 1 :]) is None


def read_or_refused(content: bytes) -> bool:
    """Whether a tokens file is read, or refused by an error that names it."""
    try:
        parse(content, "tokens.json")
    except UsageError as error:
        return "tokens.json" in str(error)
    return True


@quick
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_file_is_read_or_is_wrong_use(content):
    assert read_or_refused(content)


@settings(quick, max_examples=50)
@given(likely)
def test_any_file_of_a_likely_form_is_read_or_is_wrong_use(value):
    for document in (value, {"tokens": value}, {"tokens": [value]}):
        assert read_or_refused(json.dumps(document).encode())


printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@quick
@given(st.lists(st.tuples(printable, st.sets(st.sampled_from(list(Right)), min_size=1)), max_size=4), printable)
def test_entries_come_back_as_they_were_written(rules, name):
    kept = tuple(Rule(models=(model,), rights=frozenset(rights)) for model, rights in rules)
    entry = make_token(name, kept, now=NOW).entry
    assert parse(dump([entry]).encode(), "x") == [entry]


@quick
@given(names, names, st.sampled_from(list(Right)))
def test_a_plain_name_allows_itself_alone(allowed, asked, right):
    plain = not set(allowed) & set("*?[")
    if plain:
        access = AccessList([Rule(models=(allowed,), rights=frozenset({right}))])
        assert access.allows(right, asked) == (asked == allowed)


@quick
@given(st.text(max_size=100))
def test_any_peer_has_a_host(peer):
    assert isinstance(host_of(peer), str)


@quick
@given(names, st.sampled_from(["predict", "metadata", "admin", "other"]))
def test_any_model_is_let_in_or_refused(tokens, model, right):
    file, token = tokens
    gate = Gate(tokens=file)
    call = Call(transport="grpc", method="Predict", right=right, model=model, peer="p")
    try:
        gate.admit(gate.authenticate(token), call).close()
        assert (model, right) == ("digits", "predict")
    except RequestError:
        assert (model, right) != ("digits", "predict")


@quick
@given(st.binary(max_size=400), st.integers(0, 300))
def test_any_certificate_is_read_or_a_value_error(content, cut):
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(content).decode()}\n-----END CERTIFICATE-----"
    for text in (pem, pem[:cut], content.decode("latin-1")):
        try:
            validity_of(text)
        except ValueError:
            continue


def asked(limiter: Limiter, key: str) -> float | None:
    """None where a request passes, or how long it is told to wait."""
    try:
        limiter.start(key)
    except LimitError as error:
        return error.retry_after_s
    limiter.finish(key)
    return None


@quick
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=60), st.floats(0.1, 50), st.integers(1, 10)
)
def test_no_caller_exceeds_its_rate_and_burst(requests, rate, burst):
    now, passed = [0.0], {"a": [], "b": [], "c": []}
    limiter = Limiter(LimiterOptions(requests_per_s=rate, burst=burst), clock=lambda: now[0])
    for key, pause in requests:
        now[0] += pause
        wait_s = asked(limiter, key)
        assert wait_s is None or 0 < wait_s <= 1 / rate + 0.002
        if wait_s is None:
            passed[key].append(now[0])
    for times in passed.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


@quick
@given(content=st.binary(max_size=300), kind=st.sampled_from(["saved_model.pb", "saved_model.pbtxt"]))
def test_any_saved_model_is_scanned_or_refused(tmp_path_factory, content, kind):
    path: pathlib.Path = tmp_path_factory.getbasetemp() / "any_saved_model"
    path.mkdir(exist_ok=True)
    for name in ("saved_model.pb", "saved_model.pbtxt"):
        (path / name).unlink(missing_ok=True)
    (path / kind).write_bytes(content)
    started = time.monotonic()
    with contextlib.suppress(ModelLoadError):
        scan(path)
    assert time.monotonic() - started < 5
