"""The file of named callers and their hashed tokens, read again when it changes."""

from __future__ import annotations

import dataclasses
import datetime
import hmac
import logging
import os
import pathlib
import secrets
import stat
import threading
import time
from collections.abc import Callable

import grpc

from serving.errors import RequestError, UsageError
from serving.security.access import AccessList, Caller, Rule
from serving.security.token_entries import TokenEntry, parse

__all__ = ["NewToken", "TokensFile", "make_token", "split_token"]

logger = logging.getLogger("serving")

PREFIX = "serving"
CHECK_EVERY_S = 1.0
_SECRET_BYTES = 32
_SALT_BYTES = 16
_ID_BYTES = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewToken:
    """A token just made.

    Args:
        token: for the caller; it is shown once and stored nowhere.
        entry: for the file.
    """

    token: str
    entry: TokenEntry


def make_token(
    name: str,
    rules: tuple[Rule, ...],
    *,
    now: datetime.datetime,
    expires: datetime.datetime | None = None,
    certificate: str = "",
) -> NewToken:
    """A new random token of caller `name` and its entry for the file."""
    key, salt = secrets.token_hex(_ID_BYTES), secrets.token_bytes(_SALT_BYTES)
    token = f"{PREFIX}_{key}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    entry = TokenEntry(
        id=key,
        name=name,
        rules=rules,
        salt=salt.hex(),
        hash=_hash(salt, token).hex(),
        certificate=certificate,
        created=now,
        expires=expires,
    )
    return NewToken(token=token, entry=entry)


def split_token(token: str) -> str:
    """The public id of a token; "" if it has another form.

    Example:
        >>> split_token("serving_0123456789ab_secret")
        '0123456789ab'
    """
    prefix, _, rest = token.partition("_")
    key, _, secret = rest.partition("_")
    return key if prefix == PREFIX and secret else ""


def _hash(salt: bytes, token: str) -> bytes:
    return hmac.digest(salt, token.encode("utf-8", "surrogateescape"), "sha256")


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    salt: bytes
    hash: bytes
    expires: float


_NOBODY = _Known(Caller(name="", access=AccessList(())), b"0" * _SALT_BYTES, b"", 0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    by_id: dict[str, _Known]
    by_certificate: dict[str, _Known]
    identity: tuple[int, ...]


class TokensFile:
    """The callers of a file. Looked at again at most once a second; a broken new content keeps the last good one.

    Args:
        path: as `serving token` writes it. Others may read it at no great risk (the tokens are hashed), which is
            warned of; that others may write it is refused, for they could let themselves in.
        clock: seconds that never go back, for the pause between two looks.
        wall_clock: seconds since 1970, for the ends of tokens.

    Raises:
        UsageError: the file is missing, malformed or writable by everyone.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ):
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._looking = threading.Lock()
        self._refused: tuple[int, ...] | None = None
        self._looked_at = clock()
        self._table, mode = _read(path)
        if mode & stat.S_IROTH:
            logger.warning("event=tokens_readable path=%s reason=everyone on this machine may read it: chmod 600", path)

    def find(self, token: str) -> Caller | None:
        """The caller of a token; None if it is not known.

        Raises:
            RequestError: UNAUTHENTICATED, the token is right and has expired.
        """
        self._look()
        known = self._table.by_id.get(split_token(token), _NOBODY)
        if not hmac.compare_digest(_hash(known.salt, token), known.hash):
            return None
        return self._unexpired(known, "token")

    def find_certificate(self, common_name: str) -> Caller | None:
        """The caller of a client certificate's common name; None if it is not known.

        Raises:
            RequestError: UNAUTHENTICATED, the entry has expired.
        """
        self._look()
        known = self._table.by_certificate.get(common_name)
        return None if known is None else self._unexpired(known, "entry of this certificate")

    def _unexpired(self, known: _Known, what: str) -> Caller:
        if self._wall_clock() < known.expires:
            return known.caller
        raise RequestError(
            grpc.StatusCode.UNAUTHENTICATED,
            f"The {what} has expired. Ask whoever runs this server for a new one (`serving token create`).",
        )

    def _look(self) -> None:
        if self._clock() - self._looked_at < CHECK_EVERY_S or not self._looking.acquire(blocking=False):
            return
        try:
            self._looked_at = self._clock()
            self._read_again()
        finally:
            self._looking.release()

    def _read_again(self) -> None:
        identity = _identity(self._path)
        if identity in (self._table.identity, self._refused):
            return
        try:
            self._table, _ = _read(self._path)
        except UsageError as error:
            self._refused = identity
            logger.error("event=tokens_kept path=%s reason=%s", self._path, error)
            return
        self._refused = None
        logger.info("event=tokens_read path=%s callers=%d", self._path, len(self._table.by_id))


def _identity(path: pathlib.Path) -> tuple[int, ...]:
    try:
        return _stamp(os.stat(path))
    except OSError:
        return ()


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: pathlib.Path) -> tuple[_Table, int]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())  # before reading: a later change of the file then shows
            text = file.read()
    except OSError as error:
        raise UsageError(
            f"The tokens file {path} cannot be read: {error.strerror}. Make one: serving token create NAME "
            f"--file {path} --allow 'MODEL:predict'."
        ) from error
    if status.st_mode & stat.S_IWOTH:
        raise UsageError(f"The tokens file {path} may be written by everyone on this machine. Run: chmod 600 {path}.")
    entries = parse(text, str(path))
    known = [(entry, _known(entry)) for entry in entries]
    by_id = {entry.id: one for entry, one in known}
    by_certificate = {entry.certificate: one for entry, one in known if entry.certificate}
    return _Table(by_id, by_certificate, _stamp(status)), status.st_mode


def _known(entry: TokenEntry) -> _Known:
    return _Known(
        Caller(name=entry.name, access=AccessList(entry.rules)),
        bytes.fromhex(entry.salt),
        bytes.fromhex(entry.hash),
        float("inf") if entry.expires is None else entry.expires.timestamp(),
    )
