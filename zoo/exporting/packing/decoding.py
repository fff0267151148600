"""The operations that decode packed weights once, when a SavedModel is loaded; core TensorFlow only.

All tensors of a coding are decoded together, so that a coding costs its operations once, however many tensors use it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from zoo.compression.encoding import (
    CODINGS,
    GROUP_BYTES,
    Coded,
    Coding,
    Kind,
    coded,
    coding_options,
    planes,
    streams_of,
)
from zoo.exporting.packing.deflate import deflated

__all__ = ["Packed", "shaped"]

_COMPARED = 1 << 21  # bytes; of more, the choice of codings is by estimates
_KINDS: tuple[Kind, ...] = ("floats", "codebook", "books", "scaled")


class Packed:
    """Tensors as one compressed string.

    Args:
        tensors: in the order in which `decode` returns them.
    """

    def __init__(self, tensors: Sequence[Coded]):
        self._tensors = tensors
        # Those of one coding and kind stand together; inside, in the order given.
        self._order = sorted(
            range(len(tensors)),
            key=lambda i: (_KINDS.index(tensors[i].kind), CODINGS.index(tensors[i].coding), i),
        )
        self._groups: dict[Coding, list[Coded]] = {
            coding: self._coded_by(coding) for coding in CODINGS if self._coded_by(coding)
        }
        streams = [stream for coding, group in self._groups.items() for stream in _streams(group, coding)]
        floats = [self._tensors[i].floats for i in self._order]
        streams.append(planes(np.concatenate(floats) if floats else np.zeros(0, "float32")))
        self._streams = [stream.tobytes() for stream in streams]

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Packed:
        """Returns float32 arrays packed in the codings that are shortest together."""
        first, *others = coding_options([coded(array) for array in arrays])
        best = cls(first)
        if not others or best.size > _COMPARED:
            return best
        return min((best, *map(cls, others)), key=lambda one: one.about_bytes)

    @property
    def size(self) -> int:
        """Bytes before compression."""
        return sum(map(len, self._streams))

    @functools.cached_property
    def about_bytes(self) -> int:
        """About what the compressed streams take, and the graph that decodes them."""
        return len(deflated(self._streams, quick=True)[0]) + GROUP_BYTES * len(self._groups)

    @property
    def blob(self) -> bytes:
        """The compressed streams."""
        return self._deflated[0]

    @functools.cached_property
    def _deflated(self) -> tuple[bytes, list[int]]:
        return deflated(self._streams)

    def _coded_by(self, coding: Coding) -> list[Coded]:
        tensors = [self._tensors[i] for i in self._order]
        return [tensor for tensor in tensors if tensor.codes is not None and tensor.coding == coding]

    def decode(self, blob: tf.Tensor) -> list[tf.Tensor]:
        """Returns the tensors, float32, in the graph being built, each with its values in a row, in some shape.

        Args:
            blob: string [], as in `self.blob`.
        """
        if not self._tensors:
            return []
        streams = iter(self._inflated(blob))
        codes: dict[Kind, list[tf.Tensor]] = {kind: [] for kind in _KINDS}
        for coding, group in self._groups.items():
            sizes: dict[Kind, int] = {
                kind: sum(tensor.size for tensor in group if tensor.kind == kind) for kind in _KINDS
            }
            flat = _DECODERS[coding](streams, sum(sizes.values()))
            present: list[Kind] = [kind for kind in _KINDS if sizes[kind]]
            for kind, part in zip(present, _split(flat, [sizes[kind] for kind in present]), strict=True):
                codes[kind].append(part)
        of_kind: dict[Kind, list[int]] = {
            kind: [i for i in self._order if self._tensors[i].kind == kind] for kind in _KINDS
        }
        lengths = [sum(len(self._tensors[i].floats) for i in of_kind[kind]) for kind in _KINDS]
        floats: dict[Kind, tf.Tensor] = dict(zip(_KINDS, _split(_from_planes(next(streams)), lengths), strict=True))
        decoded: dict[int, tf.Tensor] = {}
        for kind, indices in of_kind.items():
            if indices:
                tensors = [self._tensors[i] for i in indices]
                values = _KIND_DECODERS[kind](tensors, floats[kind], codes[kind])
                decoded.update(zip(indices, values, strict=True))
        return [decoded[i] for i in range(len(self._tensors))]

    def _inflated(self, blob: tf.Tensor) -> list[tf.Tensor]:
        _, order = self._deflated
        flat = tf.io.decode_raw(tf.io.decode_compressed(blob, "ZLIB"), tf.uint8)
        parts = dict(zip(order, _split(flat, [len(self._streams[i]) for i in order]), strict=True))
        return [parts[i] for i in range(len(order))]


def _streams(tensors: Sequence[Coded], coding: Coding) -> list[np.ndarray]:
    return streams_of(np.concatenate([tensor.codes for tensor in tensors if tensor.codes is not None]), coding)


def _split(flat: tf.Tensor, lengths: Sequence[int]) -> list[tf.Tensor]:
    return [flat] if len(lengths) == 1 else tf.split(flat, list(lengths))


def _joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)


def shaped(tensor: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns a tensor in a shape; one that has it already costs no operation."""
    has_it = tensor.shape.is_fully_defined() and list(tensor.shape) == list(shape)
    return tensor if has_it else tf.reshape(tensor, shape)


def _from_planes(data: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(tf.transpose(tf.reshape(data, [4, -1])), tf.float32)


def _bytes(streams: Iterator[tf.Tensor], _: int) -> tf.Tensor:
    return next(streams)


def _gaps(streams: Iterator[tf.Tensor], size: int) -> tf.Tensor:
    places = tf.cumsum(tf.cast(next(streams), tf.int32)) - 1
    return tf.scatter_nd(places[:, None], next(streams), [size])


def _mask(streams: Iterator[tf.Tensor], size: int) -> tf.Tensor:
    bits = tf.bitwise.bitwise_and(next(streams)[:, None], tf.constant([1 << bit for bit in range(8)], tf.uint8))
    places = tf.where(tf.not_equal(tf.reshape(bits, [-1]), 0))
    return tf.scatter_nd(places, next(streams), tf.constant([size], tf.int64))


def _floats(tensors: Sequence[Coded], floats: tf.Tensor, _: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return _split(floats, [tensor.size for tensor in tensors])


def _codebooks(tensors: Sequence[Coded], floats: tf.Tensor, codes: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns each tensor by a look-up in all codebooks in a row: a code counts from the start of its own."""
    places, sizes = tf.cast(_joined(codes), tf.int32), [tensor.size for tensor in tensors]
    if len(tensors) > 1:
        steps = tf.scatter_nd(
            np.cumsum(sizes, dtype="int32")[:-1, None],
            np.array([len(tensor.floats) for tensor in tensors[:-1]], "int32"),
            [sum(sizes)],
        )
        places += tf.cumsum(steps)
    return _split(tf.gather(floats, places), sizes)


def _books(tensors: Sequence[Coded], floats: tf.Tensor, codes: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    flat = _split(_joined(codes), [tensor.size for tensor in tensors])
    books = _split(floats, [len(tensor.floats) for tensor in tensors])
    return [_books_one(*one) for one in zip(tensors, flat, books, strict=True)]


def _books_one(tensor: Coded, codes: tf.Tensor, books: tf.Tensor) -> tf.Tensor:
    channels = len(tensor.floats) // tensor.values
    starts = tf.range(0, len(tensor.floats), tensor.values)[:, None]
    places = tf.cast(tf.reshape(codes, [-1, channels, tensor.inner]), tf.int32) + starts
    return tf.gather(books, places)


def _scaled(tensors: Sequence[Coded], floats: tf.Tensor, codes: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    steps = _split(tf.cast(tf.bitcast(_joined(codes), tf.int8), tf.float32), [tensor.size for tensor in tensors])
    scales = _split(floats, [len(tensor.floats) for tensor in tensors])
    return [_scaled_one(*one) for one in zip(tensors, steps, scales, strict=True)]


def _scaled_one(tensor: Coded, steps: tf.Tensor, scales: tf.Tensor) -> tf.Tensor:
    channels, shape = len(tensor.floats), tensor.shape
    if channels == 1 or (tensor.inner == 1 and channels == shape[-1]):  # as broadcasting has it
        return shaped(steps, shape) * scales
    return tf.reshape(steps, [-1, channels, tensor.inner]) * scales[:, None]


_DECODERS = {"bytes": _bytes, "gaps": _gaps, "mask": _mask}
_KIND_DECODERS = {"floats": _floats, "codebook": _codebooks, "books": _books, "scaled": _scaled}
