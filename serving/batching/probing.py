"""Whether rows of a batch are answered alike alone and in company, tried before requests share a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from serving.batching.merging import has_rows
from serving.engines.abstract import AbstractPredictor
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["mergeable_signatures"]

OPEN_SIZE = 8  # of an open axis, where no example tells
RELATIVE, ABSOLUTE = 1e-3, 1e-5  # a batch is summed up in another order, which moves the last digits


def mergeable_signatures(engine: AbstractPredictor, examples: Mapping[str, Sequence[np.ndarray]]) -> frozenset[str]:
    """The signatures whose rows do not depend on one another.

    A model may score one row against all others, or normalise over the batch: put together with other people's rows, it
    would answer differently. So each signature is asked for two different rows alone and together. One that cannot be
    tried (its inputs are strings, or it fails on made-up values) is not in the answer.

    Args:
        engine: the version.
        examples: inputs by signature, as its warm-up requests have them.
    """
    return frozenset(
        key
        for key, signature in engine.signatures.items()
        if has_rows(signature) and _is_mergeable(engine, signature, examples.get(key))
    )


def _is_mergeable(engine: AbstractPredictor, signature: Signature, example: Sequence[np.ndarray] | None) -> bool:
    try:
        first = _row(signature, example)
        second = [_other_row(array) for array in first]
        alone = [engine.run(signature.key, row) for row in (first, second)]
        both = engine.run(signature.key, [np.concatenate(pair) for pair in zip(second, first, strict=True)])
    except Exception:  # whatever the model has against them, they are only tried
        return False
    return all(
        both[name].ndim > 0
        and both[name].shape[0] == 2
        and alone[0][name].shape == alone[1][name].shape
        and _alike(both[name][1:], alone[0][name])
        and _alike(both[name][:1], alone[1][name])
        for name in both
    )


def _alike(batched: np.ndarray, alone: np.ndarray) -> bool:
    if batched.shape != alone.shape or batched.dtype != alone.dtype:
        return False
    if batched.dtype.kind in "fc" or batched.dtype.name == "bfloat16":
        kind = np.complex128 if batched.dtype.kind == "c" else np.float64
        return np.allclose(batched.astype(kind), alone.astype(kind), RELATIVE, ABSOLUTE, equal_nan=True)
    return bool((batched == alone).all())


def _row(signature: Signature, example: Sequence[np.ndarray] | None) -> list[np.ndarray]:
    if example is not None and all(array.shape[0] for array in example):
        return [array[:1] for array in example]
    generator = np.random.default_rng(0)
    return [_made_up(spec, generator) for spec in signature.inputs.values()]


def _made_up(spec: TensorSpec, generator: np.random.Generator) -> np.ndarray:
    if spec.dtype.is_string or spec.shape is None:
        raise ValueError(f"`{spec.name}` cannot be made up.")
    shape = (1, *(OPEN_SIZE if size is None else size for size in spec.shape[1:]))
    if spec.dtype.numpy == np.bool_:
        return np.ones(shape, np.bool_)
    if spec.dtype.numpy.kind in "iu":
        return generator.integers(0, 2, shape).astype(spec.dtype.numpy)
    return generator.random(shape).astype(spec.dtype.numpy)


def _other_row(array: np.ndarray) -> np.ndarray:
    """Another row of values that the model knows: the same ones in another order, or half of them."""
    if array.dtype.kind == "b" or (array.ndim == 1 and array.dtype == object):
        return array
    if array.ndim > 1 and array.size > 1:
        moved = np.roll(array, 1, axis=-1) if array.shape[-1] > 1 else array[:, ::-1]
        if array.dtype == object or not np.array_equal(moved, array):
            return np.ascontiguousarray(moved)
    if array.dtype.kind in "iu":
        return np.where(array == 0, 1, array // 2).astype(array.dtype)
    return np.where(array == 0, 0.25, array * 0.5).astype(array.dtype)
