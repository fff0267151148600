"""When a certificate is valid, read from its DER form: the standard library decodes none that it does not trust."""

from __future__ import annotations

import dataclasses
import datetime
import re
import ssl

__all__ = ["Validity", "validity_of"]

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_EXPLICIT_VERSION = 0xA0
_SEQUENCE = 0x30
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime, GeneralizedTime
_BEFORE_VALIDITY = 3  # serial number, signature algorithm, issuer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validity:
    """From when to when a certificate holds.

    Args:
        begins: by UTC.
        ends: by UTC.
    """

    begins: datetime.datetime
    ends: datetime.datetime


def validity_of(pem: str) -> Validity:
    """When the first certificate of a PEM text, which is the server's own in a chain, is valid.

    Raises:
        ValueError: there is no certificate in it.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no PEM block CERTIFICATE")
    der = ssl.PEM_cert_to_DER_cert(found.group())
    try:
        return _validity(der)
    except IndexError as error:
        raise ValueError("the certificate is cut off") from error


def _validity(der: bytes) -> Validity:
    position, _ = _open(der, 0, _SEQUENCE)
    position, _ = _open(der, position, _SEQUENCE)
    if der[position] == _EXPLICIT_VERSION:
        _, position = _bounds(der, position)
    for _ in range(_BEFORE_VALIDITY):
        _, position = _bounds(der, position)
    position, _ = _open(der, position, _SEQUENCE)
    begins, position = _time(der, position)
    ends, _ = _time(der, position)
    return Validity(begins=begins, ends=ends)


def _open(der: bytes, position: int, tag: int) -> tuple[int, int]:
    if der[position] != tag:
        raise ValueError(f"tag {tag:#x} expected at byte {position}, {der[position]:#x} received")
    return _bounds(der, position)


def _bounds(der: bytes, position: int) -> tuple[int, int]:
    """Where the content of the element at `position` begins, and where it ends."""
    length, start = der[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return start, start + length


def _time(der: bytes, position: int) -> tuple[datetime.datetime, int]:
    start, end = _bounds(der, position)
    form = _TIMES.get(der[position])
    if form is None:
        raise ValueError(f"a time expected at byte {position}")
    time = datetime.datetime.strptime(der[start:end].decode("ascii"), form)
    return time.replace(tzinfo=datetime.UTC), end
