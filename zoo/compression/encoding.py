"""How a weight tensor is written in few bytes, bit for bit; numpy alone.

A tensor is stood for by its values as they are, by codes into a codebook (a tensor of few distinct values, as pruning
and clustering leave it) or into one for each channel, or by codes that are whole numbers times a scale per channel (as
quantisation leaves it). What
a tensor is, is read from its values alone, so that any model is packed well, also one that the zoo never saw. Codes
where one value prevails are written as the places and the codes of the others. Paper: arXiv 1510.00149, section 4.
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

__all__ = [
    "CODINGS",
    "GROUP_BYTES",
    "Coded",
    "Coding",
    "Kind",
    "coded",
    "coding_options",
    "estimated_bytes",
    "planes",
    "streams_of",
]

Coding = Literal["bytes", "gaps", "mask"]
Kind = Literal["floats", "codebook", "books", "scaled"]
CODINGS: tuple[Coding, ...] = ("bytes", "gaps", "mask")

_MAX_CODES = 256  # a code is one byte
_MAX_STEPS = 127  # of a scale, on either side of zero
GROUP_BYTES = 260  # of graph that the first tensor of a coding costs
_MANY_VALUES = 32  # from here on a codebook for each channel may be shorter
_SAMPLED_CHANNELS = 4
_QUICK_ESTIMATE = 1 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Coded:
    """One float32 tensor as codes and floats.

    Attributes:
        shape: of the tensor.
        floats: float32; the values themselves, the codebook, the codebooks one after another, or the scales.
        codes: uint8 [size], None where `floats` are the values. The code 0 is the value that prevails.
        inner: 0 for a codebook; else element `i` is of channel `i // inner % channels`: its code as int8 times that
            scale, or its code into that codebook.
        coding: how the codes are written.
        values: in each channel's codebook; 0 where there is none for each.
    """

    shape: tuple[int, ...]
    floats: np.ndarray
    codes: np.ndarray | None = None
    inner: int = 0
    coding: Coding = "bytes"
    values: int = 0

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def kind(self) -> Kind:
        """What stands for the values."""
        if self.codes is None:
            return "floats"
        if self.values:
            return "books"
        return "scaled" if self.inner else "codebook"

    def bits(self) -> int:
        """Returns how many bits tell the values apart before entropy coding: 32 where they stand as they are."""
        return 32 if self.codes is None else max(1, int(np.ceil(np.log2(len(np.unique(self.codes)) or 1))))


def coded(array: np.ndarray) -> Coded:
    """Returns the shortest way to write a float32 tensor, its codes in the best coding of its own."""
    flat = np.ascontiguousarray(array, "float32").ravel()
    plain = Coded(array.shape, flat)
    codebook, scaled = _as_codebook(array), _as_scaled(array)
    found = [codebook, scaled]
    if scaled is None and (codebook is None or len(codebook.floats) > _MANY_VALUES):
        found.append(_as_books(array))
    candidates = [_with_best_coding(one) for one in found if one is not None]
    return min([plain, *candidates], key=estimated_bytes)


def coding_options(tensors: Sequence[Coded]) -> list[list[Coded]]:
    """Returns the tensors in each choice of codings, the one first that is the shortest by `estimated_bytes`.

    Within a choice each tensor has the coding that is best for it alone. Each coding in use costs `GROUP_BYTES`.
    """
    indexed = [i for i, tensor in enumerate(tensors) if tensor.codes is not None]
    sizes = {
        (i, coding): estimated_bytes(dataclasses.replace(tensors[i], coding=coding))
        for i in indexed
        for coding in CODINGS
    }
    choices: dict[tuple[Coding, ...], int] = {}
    for count in range(1, len(CODINGS) + 1):
        for allowed in itertools.combinations(CODINGS, count):
            chosen: tuple[Coding, ...] = tuple(
                _least(allowed, [sizes[i, coding] for coding in allowed]) for i in indexed
            )
            total = sum(sizes[one] for one in zip(indexed, chosen, strict=True))
            choices[chosen] = total + GROUP_BYTES * len(set(chosen))
    options = []
    for chosen in sorted(choices, key=lambda one: choices[one]):
        of = dict(zip(indexed, chosen, strict=True))
        options.append([dataclasses.replace(t, coding=of[i]) if i in of else t for i, t in enumerate(tensors)])
    return options


def _least(codings: Sequence[Coding], sizes: Sequence[int]) -> Coding:
    return min(zip(sizes, codings, strict=True), key=lambda pair: pair[0])[1]


def streams_of(codes: np.ndarray, coding: Coding) -> list[np.ndarray]:
    """Returns the uint8 arrays that a coding writes for codes uint8 [size].

    `bytes`: the codes. `gaps`: the distance from each code that is not 0 to the one before it, the first counted from
    -1, and these codes; a distance above 255 is several, whose codes are 0. `mask`: a bit for each code, the lowest bit
    of a byte first, and the codes that are not 0.
    """
    if coding == "bytes":
        return [codes]
    places = np.flatnonzero(codes)
    if coding == "mask":
        return [np.packbits(codes != 0, bitorder="little"), codes[places]]
    gaps = np.diff(places, prepend=-1)
    steps = (gaps - 1) // 255  # of 255 before the last one
    ends = np.cumsum(steps + 1) - 1
    written = np.full(int(ends[-1]) + 1 if len(ends) else 0, 255, np.uint8)
    written[ends] = gaps - steps * 255
    values = np.zeros(len(written), np.uint8)
    values[ends] = codes[places]
    return [written, values]


def planes(floats: np.ndarray) -> np.ndarray:
    """Returns float32 [N] as uint8 [4 * N]: all lowest bytes first, all highest ones last, where they are alike."""
    return np.ascontiguousarray(floats, "<f4").view(np.uint8).reshape(-1, 4).T.ravel()


def estimated_bytes(tensor: Coded) -> int:
    """Returns about what a tensor takes, entropy-coded; 0 for one without values."""
    if not tensor.size:
        return 0
    size = _deflated(planes(tensor.floats))
    if tensor.codes is not None:
        size += sum(_deflated(stream) for stream in streams_of(tensor.codes, tensor.coding))
    return size


def _deflated(stream: np.ndarray) -> int:
    data = stream[:_QUICK_ESTIMATE].tobytes()
    level = 9 if stream.size <= _QUICK_ESTIMATE else 6
    # Repetitions that are chance cost more than they save; then it is Huffman's code alone.
    size = min(_packed_size(data, level, one) for one in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY))
    return int(size / max(1, len(data)) * stream.size)


def _packed_size(data: bytes, level: int, strategy: int) -> int:
    packer = zlib.compressobj(level, strategy=strategy)
    return len(packer.compress(data)) + len(packer.flush())


def _with_best_coding(tensor: Coded) -> Coded:
    options = [dataclasses.replace(tensor, coding=coding) for coding in CODINGS]
    return min(options, key=estimated_bytes)


def _as_codebook(array: np.ndarray) -> Coded | None:
    """Returns a tensor by its distinct values, or None where they are too many."""
    # By bits, not by value: -0.0 and 0.0 stay apart, and what is decoded is bit for bit what went in.
    bits = np.ascontiguousarray(array, "float32").ravel().view(np.uint32)
    if len(np.unique(bits[: 4 * _MAX_CODES])) > _MAX_CODES:
        return None
    book, codes, counts = np.unique(bits, return_inverse=True, return_counts=True)
    if not 0 < len(book) <= _MAX_CODES:
        return None
    order = np.argsort(-counts, kind="stable")[:1]
    order = np.concatenate([order, np.delete(np.arange(len(book)), order)])  # the frequent one first, the rest rising
    place = np.empty(len(book), np.uint8)
    place[order] = np.arange(len(book))
    return Coded(array.shape, book[order].view(np.float32), place[codes])


def _as_scaled(array: np.ndarray) -> Coded | None:
    """Returns a tensor as whole numbers times a scale per channel, or None where it is none.

    There may be one channel for all.
    """
    values = np.ascontiguousarray(array, "float32")  # a scalar becomes [1]
    if not values.size or not np.isfinite(values).all() or np.signbit(values[values == 0]).any():
        return None
    for channels, inner in _layouts(values.shape):
        columns = _columns(values, channels, inner)
        if len(columns) < 2 or (scales := _scales(columns)) is None:
            continue
        codes = np.rint(values.reshape(-1, channels, inner) / scales[:, None]).astype(np.int8).view(np.uint8)
        return Coded(array.shape, scales, codes.ravel(), inner)
    return None


def _as_books(array: np.ndarray) -> Coded | None:
    """Returns a tensor by the distinct values of each channel, or None where they are too many to be worth it."""
    bits = np.ascontiguousarray(array, "float32").view(np.uint32)  # by bits: what is decoded is what went in
    for channels, inner in _layouts(bits.shape):
        columns = _columns(bits, channels, inner)
        sample = columns[:, :: max(1, channels // _SAMPLED_CHANNELS)]
        if channels > 1 and _most_distinct(sample) * 2 <= len(columns) and _most_distinct(columns) <= _MAX_CODES:
            books, codes = _books(columns.T)
            rows = codes.T.reshape(-1, inner, channels)
            return Coded(
                array.shape,
                books.view(np.float32),
                np.moveaxis(rows, -1, 1).ravel(),
                inner,
                values=len(books) // channels,
            )
    return None


def _most_distinct(columns: np.ndarray) -> int:
    ordered = np.sort(columns, axis=0)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1], axis=0).max(initial=0))


def _books(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the codebooks of all rows, uint32 [C * k], and the codes, uint8 [C, M].

    Values rise from code to code, so that the codes of channels are alike; where zero prevails it comes first in each.
    """
    zero_first = np.count_nonzero(rows == 0) * 4 > rows.size
    found = []
    for row in rows:
        book = np.unique(row)
        book = book[np.argsort(book.view(np.float32), kind="stable")]
        found.append(np.concatenate([[np.uint32(0)], book[book != 0]]) if zero_first else book)
    most = max(len(book) for book in found)
    codes = np.stack([_code_of(book, row) for book, row in zip(found, rows, strict=True)])
    return np.concatenate([np.pad(book, (0, most - len(book)), mode="edge") for book in found]), codes


def _code_of(book: np.ndarray, row: np.ndarray) -> np.ndarray:
    order = np.argsort(book)
    return order[np.searchsorted(book[order], row)].astype(np.uint8)


def _layouts(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Returns `(channels, inner)` of the channels tried: one for all, the last axis, the last two, the first."""
    size = int(np.prod(shape))
    if not size or not shape:
        return []
    layouts = {(shape[-1], 1), (shape[0], size // shape[0]), (1, size)}
    if len(shape) > 2:
        layouts.add((shape[-2] * shape[-1], 1))
    return sorted(layouts)


def _columns(values: np.ndarray, channels: int, inner: int) -> np.ndarray:
    """Returns the values of each channel as a column."""
    return np.moveaxis(values.reshape(-1, channels, inner), 1, -1).reshape(-1, channels)


def _scales(columns: np.ndarray) -> np.ndarray | None:
    """Returns float32 [C] so that float32 [N, C] is bit for bit a whole number up to 127 times it, or None."""
    magnitudes = np.abs(columns).astype("float64")
    largest = magnitudes.max(axis=0)
    sample = np.argsort(-largest)[:_SAMPLED_CHANNELS]
    if _scales_of(magnitudes[:, sample], largest[sample]) is None:  # most tensors are no such thing: see it early
        return None
    return _scales_of(magnitudes, largest)


def _scales_of(magnitudes: np.ndarray, largest: np.ndarray) -> np.ndarray | None:
    smallest = np.where(magnitudes > 0, magnitudes, np.inf).min(axis=0)
    scales = np.where(largest > 0, np.nan, 1.0)  # a channel of zeros has any
    for steps in range(1, _MAX_STEPS + 1):  # the smallest magnitude is so many steps
        left = np.flatnonzero(np.isnan(scales) & (largest / smallest * steps <= _MAX_STEPS + 0.5))
        if not len(left):
            break
        rounded = np.rint(magnitudes[:, left] / (smallest[left] / steps))
        guess = (largest[left] / np.maximum(rounded.max(axis=0), 1)).astype("float32")
        for offset in (0, 1, -1, 2, -2):
            scale = (guess.view(np.int32) + offset).view(np.float32)
            exact = (np.float32(rounded) * scale == np.float32(magnitudes[:, left])).all(axis=0)
            scales[left[exact]] = scale[exact]
    return None if np.isnan(scales).any() else scales.astype("float32")
