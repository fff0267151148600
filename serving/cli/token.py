"""`serving token`: the callers that a server with `--tokens` lets in."""

from __future__ import annotations

import datetime
import pathlib
import re
from typing import TYPE_CHECKING, Any

import click

from serving.cli.common import as_json_option, debug_option, print_json
from serving.errors import UsageError

if TYPE_CHECKING:
    from serving.security.token_entries import TokenEntry

__all__ = ["token"]

_PERIOD = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}

file_option = click.option(
    "--file", "path", type=click.Path(path_type=pathlib.Path, dir_okay=False), default="tokens.json", show_default=True,
    help="The file of callers, as given to `serving serve --tokens`.",
)  # fmt: skip


@click.group()
def token() -> None:
    """Make, list and revoke the tokens by which a server knows its callers.

    The file holds hashes, never tokens. A running server reads a changed file within a second or two.

    Example: serving token create alice --file tokens.json --allow 'digits:predict,metadata' --expires 30d
    """


@token.command()
@click.argument("name")
@file_option
@click.option(
    "--allow", "rules", multiple=True, required=True, metavar="MODEL:RIGHT,...",
    help="Rights (predict, metadata, admin) on a model or a pattern as 'digits*'; repeat it. Reload needs '*:admin'.",
)  # fmt: skip
@click.option(
    "--expires", metavar="WHEN", help="30d, 12h, 45m, 2027-01-31 or 2027-01-31T12:00:00Z (UTC); never without."
)
@click.option("--certificate", default="", metavar="CN", help="Client certificates of this common name need no token.")
@as_json_option
@debug_option
def create(
    name: str,
    path: pathlib.Path,
    rules: tuple[str, ...],
    expires: str | None,
    certificate: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Make a token for caller NAME and print it; it is shown this once.

    Example: serving token create alice --allow 'digits*:predict,metadata' --expires 30d
    """
    from serving.security.access import parse_rule
    from serving.security.token_store import change_entries
    from serving.security.tokens import make_token

    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    ends = None if expires is None else _parse_end(expires, now)
    made = make_token(name, tuple(map(parse_rule, rules)), now=now, expires=ends, certificate=certificate)
    others: list[TokenEntry] = []

    def add(entries: list[TokenEntry]) -> list[TokenEntry]:
        others.extend(entry for entry in entries if entry.name == name)
        return [*entries, made.entry]

    change_entries(path, add)
    if others:
        ids = ", ".join(entry.id for entry in others)
        click.echo(
            f"serving: {name} has {len(others)} other token{'s' if len(others) > 1 else ''}, still valid: {ids}. When "
            f"the new one is in use: serving token revoke {name} --id {others[0].id} --file {path}",
            err=True,
        )
    if as_json:
        print_json({"token": made.token, **_shown(made.entry, now), "file": str(path)})
    else:
        click.echo(made.token)


@token.command(name="list")
@file_option
@as_json_option
@debug_option
def list_tokens(path: pathlib.Path, as_json: bool, debug: bool) -> None:
    """Show the callers in the file, what they may do and until when.

    Example: serving token list --file tokens.json
    """
    from serving.security.token_store import read_entries

    now = datetime.datetime.now(datetime.UTC)
    shown = [_shown(entry, now) for entry in read_entries(path)]
    if as_json:
        print_json({"file": str(path), "tokens": shown})
        return
    for one in shown:
        rights = " ".join(f"{','.join(rule['models'])}:{','.join(rule['rights'])}" for rule in one["rules"])
        end = f"{'expired' if one['expired'] else 'expires'} {one['expires']}" if one["expires"] else "never expires"
        certificate = f"  certificate {one['certificate']}" if one["certificate"] else ""
        click.echo(f"{one['id']}  {one['name']}  {rights}  {end}{certificate}")


@token.command()
@click.argument("name")
@file_option
@click.option("--id", "key", help="Only the token of this id, as `serving token list` shows it; all of NAME without.")
@as_json_option
@debug_option
def revoke(name: str, path: pathlib.Path, key: str | None, as_json: bool, debug: bool) -> None:
    """Take caller NAME's tokens out of the file; a running server refuses them within a second or two.

    Example: serving token revoke alice --file tokens.json
    """
    from serving.security.token_store import change_entries, read_entries

    read_entries(path)  # a missing file is said to be missing, and not to lack NAME
    revoked: list[str] = []

    def remove(entries: list[TokenEntry]) -> list[TokenEntry]:
        revoked.extend(entry.id for entry in entries if entry.name == name and key in (None, entry.id))
        if not revoked:
            raise UsageError(_unknown(name, key, path, entries))
        return [entry for entry in entries if entry.id not in revoked]

    change_entries(path, remove)
    if as_json:
        print_json({"name": name, "revoked": revoked, "file": str(path)})
    else:
        click.echo(f"revoked {', '.join(revoked)} of {name}")


def _unknown(name: str, key: str | None, path: pathlib.Path, entries: list[TokenEntry]) -> str:
    import difflib

    of_name = [entry.id for entry in entries if entry.name == name]
    if of_name:
        return f"{name} has no token {key!r} in {path}. It has: {', '.join(of_name)}."
    names = sorted({entry.name for entry in entries})
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return f"{path} has no caller {name!r}.{hint} It has: {', '.join(names) or 'none'}."


def _shown(entry: TokenEntry, now: datetime.datetime) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "rules": [{"models": list(rule.models), "rights": sorted(rule.rights)} for rule in entry.rules],
        "certificate": entry.certificate or None,
        "created": entry.created.isoformat() if entry.created else None,
        "expires": entry.expires.isoformat() if entry.expires else None,
        "expired": entry.expires is not None and now >= entry.expires,
    }


def _parse_end(text: str, now: datetime.datetime) -> datetime.datetime:
    """When a token ends, from a period or a time.

    Raises:
        UsageError: neither of the two, or in the past.
    """
    from serving.security.token_entries import parse_time

    found = _PERIOD.fullmatch(text)
    try:
        end = now + datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else parse_time(text)
    except ValueError as error:
        raise UsageError(
            f"`--expires` must be like 30d, 12h, 45m, 2027-01-31 or 2027-01-31T12:00:00Z. Received: {text!r}."
        ) from error
    if end <= now:
        raise UsageError(f"`--expires` must lie ahead; now it is {now.isoformat()}. Received: {text!r}.")
    return end
