"""The format of the tokens file: JSON, every field checked, nothing unknown let pass."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from typing import Any, NoReturn

from serving.errors import UsageError
from serving.security.access import Right, Rule

__all__ = ["TokenEntry", "dump", "parse", "parse_time"]

_HASH_DIGITS = re.compile(r"(?:[0-9a-f]{64})?")
_SALT_DIGITS = re.compile(r"(?:[0-9a-f]{2}){0,64}")
_ID = re.compile(r"[0-9A-Za-z]{1,64}")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,99}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenEntry:
    """One caller in the file: by token, by the common name of a client certificate, or by both.

    Args:
        id: the token's public part; the file's look-up key.
        name: the caller's; several entries may share it, as while a token is replaced, and then share its limits.
        rules: what the caller may do.
        salt: of the hash, in hexadecimal digits; "" without a token.
        hash: HMAC-SHA256 of the token by the salt, in hexadecimal digits; "" without a token. A token is 256 random
            bits, which nobody can guess however fast the hash is; slow ones (bcrypt) are for words that people choose.
        certificate: common name of the client certificate that stands for the caller; "" for none.
        created: when, by UTC; None where not told.
        expires: from then on the entry is refused; None never.
    """

    id: str
    name: str
    rules: tuple[Rule, ...]
    salt: str = ""
    hash: str = ""
    certificate: str = ""
    created: datetime.datetime | None = None
    expires: datetime.datetime | None = None


def dump(entries: list[TokenEntry]) -> str:
    """The file of `entries`, which `parse` reads."""
    return json.dumps({"tokens": [_to_json(entry) for entry in entries]}, indent=2) + "\n"


def _to_json(entry: TokenEntry) -> dict[str, Any]:
    document = dataclasses.asdict(entry)
    document["rules"] = [{"models": list(rule.models), "rights": sorted(rule.rights)} for rule in entry.rules]
    for name in ("created", "expires"):
        if document[name] is not None:
            document[name] = document[name].isoformat(timespec="seconds")
    optional = ("salt", "hash", "certificate", "created", "expires")
    return {name: value for name, value in document.items() if value or name not in optional}


def parse(text: bytes, source: str) -> list[TokenEntry]:
    """The entries of a file.

    Args:
        text: its content.
        source: its name, for errors.

    Raises:
        UsageError: no such file; the message names the line, or the field.
    """
    reader = _Reader(source)
    try:
        document = json.loads(text, object_pairs_hook=reader.unique)
    except json.JSONDecodeError as error:
        raise UsageError(f"{source} is no JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{source} is no JSON in UTF-8: {error}.") from error
    document = reader.object(document, "the file", required={"tokens"}, optional=set())
    entries = [reader.entry(entry, f"tokens[{i}]") for i, entry in enumerate(reader.list(document["tokens"], "tokens"))]
    for field in ("id", "certificate"):
        values = [getattr(entry, field) for entry in entries if getattr(entry, field)]
        if repeated := sorted({value for value in values if values.count(value) > 1}):
            raise UsageError(f"{source}: each `{field}` may stand once. Received twice: {', '.join(repeated)}.")
    return entries


def parse_time(text: str) -> datetime.datetime:
    """An ISO 8601 time; UTC where it names no offset, and the day's beginning where it names no time.

    Raises:
        ValueError: another form.

    Example:
        >>> parse_time("2027-01-31").isoformat()
        '2027-01-31T00:00:00+00:00'
    """
    time = datetime.datetime.fromisoformat(text)
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time.astimezone(datetime.UTC)


class _Reader:
    def __init__(self, source: str):
        self._source = source

    def _fail(self, where: str, expected: str, received: Any) -> NoReturn:
        shown = repr(received)
        shown = shown if len(shown) <= 80 else shown[:80] + "..."
        raise UsageError(f"{self._source}: {where} must be {expected}. Received: {shown}.")

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"{self._source}: a field may stand once in an object. Twice: {', '.join(repeated)}.")
        return dict(pairs)

    def object(self, value: Any, where: str, *, required: set[str], optional: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fail(where, "an object", value)
        if missing := sorted(required - set(value)):
            raise UsageError(f"{self._source}: {where} lacks `{missing[0]}`.")
        if unknown := sorted(set(value) - required - optional):
            known = ", ".join(sorted(required | optional))
            raise UsageError(f"{self._source}: {where} has an unknown field `{unknown[0]}`. Known: {known}.")
        return value

    def list(self, value: Any, where: str) -> list[Any]:
        return value if isinstance(value, list) else self._fail(where, "a list", value)

    def text(self, value: Any, where: str, form: re.Pattern[str], expected: str) -> str:
        if not isinstance(value, str) or form.fullmatch(value) is None:
            self._fail(where, expected, value)
        return value

    def time(self, value: Any, where: str) -> datetime.datetime | None:
        if value is None:
            return None
        try:
            return parse_time(value)
        except (TypeError, ValueError, OverflowError):
            self._fail(where, "a time like '2027-01-31' or '2027-01-31T12:00:00Z'", value)

    def rule(self, value: Any, where: str) -> Rule:
        fields = self.object(value, where, required={"models", "rights"}, optional=set())
        models = [
            self.text(model, f"{where}.models[{i}]", _NAME, "a model's name or a pattern")
            for i, model in enumerate(self.list(fields["models"], f"{where}.models"))
        ]
        rights = self.list(fields["rights"], f"{where}.rights")
        for i, right in enumerate(rights):
            if right not in list(Right):
                self._fail(f"{where}.rights[{i}]", f"one of {', '.join(Right)}", right)
        try:
            return Rule(models=tuple(models), rights=frozenset(map(Right, rights)))
        except UsageError as error:
            raise UsageError(f"{self._source}: {where}: {error}") from error

    def entry(self, value: Any, where: str) -> TokenEntry:
        optional = {"salt", "hash", "certificate", "created", "expires"}
        fields = self.object(value, where, required={"id", "name", "rules"}, optional=optional)
        rules = self.list(fields["rules"], f"{where}.rules")
        entry = TokenEntry(
            id=self.text(fields["id"], f"{where}.id", _ID, "1 to 64 letters and digits"),
            name=self.text(fields["name"], f"{where}.name", _NAME, "1 to 100 printable characters"),
            rules=tuple(self.rule(rule, f"{where}.rules[{i}]") for i, rule in enumerate(rules)),
            salt=self.text(fields.get("salt", ""), f"{where}.salt", _SALT_DIGITS, "hexadecimal digits"),
            hash=self.text(fields.get("hash", ""), f"{where}.hash", _HASH_DIGITS, "64 hexadecimal digits"),
            certificate=self.text(
                fields.get("certificate", ""), f"{where}.certificate", re.compile(".{0,200}"), "a common name"
            ),
            created=self.time(fields.get("created"), f"{where}.created"),
            expires=self.time(fields.get("expires"), f"{where}.expires"),
        )
        if bool(entry.salt) != bool(entry.hash):
            raise UsageError(f"{self._source}: {where} must have both `salt` and `hash`, or none of them.")
        if not entry.hash and not entry.certificate:
            raise UsageError(f"{self._source}: {where} must have `salt` and `hash`, or a `certificate`.")
        return entry
