"""Byte streams as one in zlib's format, each compressed in the way that is shortest for it.

A search for repetitions, zlib's or Zopfli's, finds some in random codes of few values too, and pays for them: streams
of cluster numbers took 5 to 12% more than by Huffman's code alone. RFC 1950 and 1951.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

__all__ = ["deflated"]

_ZOPFLI_LIMIT = 1 << 19
_BEST_LIMIT = 1 << 23  # beyond, the last percent takes minutes
_ITERATIONS = 15  # of Zopfli; fewer may give less or more
_HEADER = b"\x78\xda"
_END = b"\x03\x00"  # a last block that holds nothing
_MEMORY = 9  # zlib's most
_PLANES = 4  # of floats, which stand one after another and differ
_PART = 1 << 13
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FILTERED)


def deflated(streams: Sequence[bytes], *, quick: bool = False) -> tuple[bytes, list[int]]:
    """Returns one compressed string, and the indices of the streams in the order in which they stand in it.

    Args:
        streams: in any order.
        quick: leave out Zopfli, which takes most of the time and saves some percent.
    """
    size = sum(map(len, streams))
    pieces = [_shortest(stream, thorough=size <= _BEST_LIMIT) for stream in streams]
    tried = [] if quick or size > _ZOPFLI_LIMIT else [_zopfli(stream) for stream in streams]
    by_zopfli = [i for i, one in enumerate(tried) if len(one) <= len(pieces[i])]
    by_zlib = [i for i in range(len(streams)) if i not in by_zopfli]
    order = by_zlib + by_zopfli
    # Zopfli's blocks end the string, so that they come last.
    match by_zopfli:
        case []:
            end = _END
        case [one]:
            end = tried[one]
        case _:
            end = _zopfli(b"".join(streams[i] for i in by_zopfli))
    body = b"".join(pieces[i] for i in by_zlib) + end
    checksum = zlib.adler32(b"".join(streams[i] for i in order))
    return _HEADER + body + checksum.to_bytes(4, "big"), order


def _shortest(data: bytes, *, thorough: bool) -> bytes:
    """Returns blocks of DEFLATE that others may follow, each part of the data in the way that is shortest for it."""
    sizes = {max(1, -(-len(data) // _PLANES))}
    if thorough:
        sizes |= {max(1, len(data)), _PART}
    strategies = _STRATEGIES if thorough else _STRATEGIES[:2]
    level = 9 if thorough else 6

    def cut(size: int) -> bytes:
        parts = (data[start : start + size] for start in range(0, len(data), size))
        return b"".join(min((_blocks(part, level, one) for one in strategies), key=len) for part in parts)

    return min(map(cut, sorted(sizes)), key=len)


def _blocks(data: bytes, level: int, strategy: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY, strategy)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def _zopfli(data: bytes) -> bytes:
    """Returns blocks of DEFLATE, the last of them marked as such."""
    import zopfli.zlib

    return zopfli.zlib.compress(data, numiterations=_ITERATIONS)[len(_HEADER) : -4]
