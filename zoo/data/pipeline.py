"""From a source to batches: padded, masked, shuffled by seed, as fast as slices of an array where the data fits.

Shape glossary: `N` examples of a split, `B` batch, `T` time, the longest of the batch.

A split that fits `cache_bytes` is read once into arrays, and a batch is gathered from them by shuffled indices, as
Keras does with numpy arrays: 2 to 4 microseconds an example of MNIST, where Keras's own adapter takes 5. Anything
larger is streamed from its files through a shuffle buffer: about 130 microseconds, most of it tfds's decoding. A pass
costs about 30 ms to begin, on 2 cores; with `repeat`, and `steps_per_epoch` in `fit`, that is paid once.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.data.arrays import Arrays, read_arrays, tensor_specs, varying_names
from zoo.data.base import AbstractSource
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

__all__ = ["CACHE_BYTES", "PARALLEL_CALLS", "batches", "take_arrays"]

CACHE_BYTES = 2**30
PARALLEL_CALLS = os.cpu_count() or 1
"""Batches that a stage makes at a time."""

_PREFETCHED = 2
_SHUFFLE_EXAMPLES = 16_384
_SHUFFLE_BYTES = 2**28


def batches(  # noqa: PLR0913  (all by name)
    source: AbstractSource,
    split: str,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    drop_remainder: bool = False,
    cache_bytes: int = CACHE_BYTES,
    repeat: bool = False,
    length_window: int = 0,
) -> tf.data.Dataset:
    """Returns batches of raw examples, a dictionary of tensors [B, ...] each, its number of batches known.

    A tensor whose first axis varies is padded with zeros to the longest of its batch, and a mask is added, bool
    [B, T], true where there is data, under the name that `DataInfo.mask_names` gives: `padding_mask`.

    Args:
        batch_size: examples a batch, over all replicas. The last batch of a pass is smaller where they do not divide.
        shuffle: a new order in every pass; equal seeds give equal orders, pass by pass.
        seed: of the orders.
        drop_remainder: leaves a smaller last batch out; never do so where something is measured.
        cache_bytes: the memory that reading and holding the split may take; what needs more is streamed, and with 0
            everything is. A stream is shuffled within a buffer of at most 16,384 examples and 256 MiB.
        repeat: passes without end.
        length_window: where examples are shuffled and vary in length, sort each so many batches of them by length
            before they are cut into batches, and shuffle these: a batch then holds little padding. 0 for none.

    Raises:
        UsageError: `batch_size` is not positive, or `length_window` is negative.
        UnknownNameError, DataUnavailableError, DataError: as `source.load(split)` does; or a file is damaged.

    >>> from zoo.data import Synthetic
    >>> source = Synthetic(kind="sequences", shape=(9, 2), num_train=10)
    >>> [len(batch["padding_mask"]) for batch in batches(source, "train", batch_size=4, shuffle=True, seed=0)]
    [4, 4, 2]
    """
    import tensorflow as tf

    if batch_size < 1:
        raise UsageError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
    if length_window < 0:
        raise UsageError(f"`length_window` must be at least 0. Received: length_window={length_window}.")
    order = _Order(seed, length_window) if shuffle else None
    examples = source.load(split)
    masks = _mask_names(source, examples)
    try:
        arrays = read_arrays(examples, cache_bytes) if cache_bytes else None
        if arrays is None:
            dataset = _streamed(examples, masks, batch_size, drop_remainder, order, cache_bytes)
        else:
            dataset = _gathered(arrays, masks, batch_size, drop_remainder, order)
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise DataError(
            f"The split {split!r} of {source} cannot be read to its end: {error.message}. Its files are damaged; make "
            "them anew: `zoo data fetch NAME` for packaged data, else remove the prepared directory."
        ) from error
    if dataset.cardinality() == 0:
        raise DataError(
            f"The split {split!r} of {source} holds fewer examples than one batch of {batch_size}, and "
            "`drop_remainder` leaves it out. Use a smaller batch or keep the remainder."
        )
    if repeat:
        dataset = dataset.repeat()
    options = tf.data.Options()
    options.deterministic = True
    # Without a policy, a distributed run first tries to share out files, finds none and warns.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # The thread that tunes parallel calls sleeps twice as long each time, 10 ms at first, and an iterator waits for it
    # to wake before it ends: 6.0 s of batches end after 10.5.
    options.autotune.enabled = False
    return dataset.prefetch(_PREFETCHED).with_options(options)


def take_arrays(source: AbstractSource, split: str, num_examples: int) -> dict[str, np.ndarray]:
    """Returns the first `num_examples` raw examples of a split, or all where it holds fewer, as one batch, in order."""
    examples = source.load(split)
    num_held = int(examples.cardinality())
    size = min(num_examples, num_held) if num_held > 0 else num_examples
    batch = next(iter(_streamed(examples.take(size), _mask_names(source, examples), size, False, None, 0)))
    return {name: value.numpy() for name, value in batch.items()}


def _mask_names(source: AbstractSource, examples: tf.data.Dataset) -> dict[str, str]:
    """Returns the name of the mask of each tensor that varies; raises `DataError` where the source did not say so."""
    masks, varying = source.info().mask_names(), varying_names(tensor_specs(examples))
    if set(masks) != set(varying):
        raise DataError(
            f"{source} states that the first axis of {', '.join(masks) or 'nothing'} varies; in its examples it is "
            f"that of {', '.join(varying) or 'nothing'}. Mend its `info()`."
        )
    return masks


@dataclasses.dataclass(frozen=True)
class _Order:
    """A random order, and how many batches of it are sorted by length."""

    seed: int
    length_window: int


def _gathered(
    arrays: Arrays, masks: Mapping[str, str], batch_size: int, drop_remainder: bool, order: _Order | None
) -> tf.data.Dataset:
    """Returns batches gathered from memory, in an order drawn anew in each pass unless `order` is `None`."""
    import tensorflow as tf

    num_examples = arrays.num_examples
    num_batches = num_examples // batch_size if drop_remainder else -(-num_examples // batch_size)
    is_even = drop_remainder or num_examples % batch_size == 0
    with tf.device("CPU:0"):
        tensors: dict[str, Any] = {name: tf.constant(array) for name, array in arrays.tensors.items()}
        ragged: Any = tf.RaggedTensor  # the type checker's stubs lack a part of it
        for name, lengths in arrays.lengths.items():
            tensors[name] = ragged.from_row_lengths(tensors[name], lengths, validate=False)

    def indices(pass_order: tf.Tensor) -> tf.data.Dataset:
        def one_batch(position: tf.Tensor) -> tf.Tensor:
            start = position * batch_size
            chosen = pass_order[start : tf.minimum(start + batch_size, num_examples)]
            return tf.ensure_shape(chosen, [batch_size if is_even else None])

        return tf.data.Dataset.range(num_batches).map(one_batch)

    def gather(chosen: tf.Tensor) -> dict[str, tf.Tensor]:
        batch: dict[str, Any] = {name: tf.gather(tensor, chosen) for name, tensor in tensors.items()}
        return _padded(batch, masks)

    lengths = next(iter(arrays.lengths.values()), None)
    dataset = _orders(num_examples, batch_size, order, lengths).flat_map(indices)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    return dataset.map(gather, num_parallel_calls=PARALLEL_CALLS)


def _padded(batch: dict[str, Any], masks: Mapping[str, str]) -> dict[str, tf.Tensor]:
    """Returns a batch with its ragged tensors padded by zeros, and their masks."""
    import tensorflow as tf

    for name, mask in masks.items():
        rows: Any = batch[name]
        batch[name] = rows.to_tensor()
        batch[mask] = tf.sequence_mask(rows.row_lengths(), tf.shape(batch[name])[1])
    return batch


def _orders(num_examples: int, batch_size: int, order: _Order | None, lengths: np.ndarray | None) -> tf.data.Dataset:
    """Returns a data set of one element, the order of a pass, int64 [N]: another one each time it is iterated."""
    import tensorflow as tf

    if order is None:
        return tf.data.Dataset.from_tensors(tf.range(num_examples, dtype=tf.int64))
    random: Any = tf.random  # the type checker's stubs lack a part of it
    draws = tf.data.Dataset.random(seed=order.seed, rerandomize_each_iteration=True).batch(2).take(1)

    def one_pass(draw: tf.Tensor) -> tf.Tensor:
        shuffled = random.experimental.stateless_shuffle(tf.range(num_examples, dtype=tf.int64), seed=draw)
        if not order.length_window or lengths is None:
            return shuffled
        # What is in a smaller last batch, which may be dropped, is left to chance.
        shuffled, rest = tf.split(shuffled, [num_examples - num_examples % batch_size, num_examples % batch_size])
        window = tf.range(len(shuffled), dtype=tf.int64) // (batch_size * order.length_window)
        longest = int(lengths.max()) + 1
        by_length = tf.gather(shuffled, tf.argsort(window * longest + tf.gather(lengths, shuffled), stable=True))
        places = random.experimental.stateless_shuffle(tf.range(num_examples // batch_size), seed=draw + 1)
        batches = tf.gather(tf.reshape(by_length, [-1, batch_size]), places)
        return tf.concat([tf.reshape(batches, [-1]), rest], axis=0)

    return draws.map(one_pass)


def _streamed(
    examples: tf.data.Dataset,
    masks: Mapping[str, str],
    batch_size: int,
    drop_remainder: bool,
    order: _Order | None,
    cache_bytes: int,
) -> tf.data.Dataset:
    """Returns batches read from the source in each pass, in its order or shuffled within a buffer."""
    import tensorflow as tf

    if order is not None:
        examples = examples.shuffle(_shuffle_buffer(examples, cache_bytes), seed=order.seed)
    if not masks:
        return examples.batch(batch_size, drop_remainder=drop_remainder, num_parallel_calls=PARALLEL_CALLS)
    if order is None or not order.length_window:
        batched = examples.ragged_batch(batch_size, drop_remainder=drop_remainder)
        return batched.map(lambda batch: _padded(batch, masks))

    def by_length(window: Any) -> tf.data.Dataset:
        places = tf.argsort(window[next(iter(masks))].row_lengths(), stable=True)
        ordered: Any = {name: tf.gather(tensor, places) for name, tensor in window.items()}
        return tf.data.Dataset.from_tensor_slices(ordered).batch(batch_size, drop_remainder=drop_remainder)

    num_examples = examples.cardinality()
    if drop_remainder and num_examples > 0:  # before the longest of the last window would be the remainder
        examples = examples.take(num_examples // batch_size * batch_size)
    windows = examples.ragged_batch(batch_size * order.length_window).flat_map(by_length)
    if num_examples > 0:
        num_batches = num_examples // batch_size if drop_remainder else -(-num_examples // batch_size)
        windows = windows.apply(tf.data.experimental.assert_cardinality(num_batches))
    return windows.shuffle(order.length_window, seed=order.seed).map(lambda batch: _padded(batch, masks))


def _shuffle_buffer(examples: tf.data.Dataset, cache_bytes: int) -> int:
    """Returns how many examples the buffer holds, from the size of the first ones."""
    sizes = [_num_bytes(example) for example in examples.take(32).as_numpy_iterator()]
    limit_bytes = min(cache_bytes or _SHUFFLE_BYTES, _SHUFFLE_BYTES)
    num_fitting = limit_bytes * len(sizes) // max(1, sum(sizes))
    num_examples = int(examples.cardinality())
    return max(1, min(num_fitting, _SHUFFLE_EXAMPLES, num_examples if num_examples > 0 else _SHUFFLE_EXAMPLES))


def _num_bytes(example: Any) -> int:
    return sum(len(value) if isinstance(value, bytes) else value.nbytes for value in example.values())
