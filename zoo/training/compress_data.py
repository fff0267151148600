"""What compression trains on: batches whose number is known."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo.errors import CompressionError

if TYPE_CHECKING:
    import tensorflow as tf

    TrainData: TypeAlias = tf.data.Dataset | tuple[Any, Any] | tuple[Any, Any, Any]

__all__ = ["batched", "counted"]

# Datasets that were read through: a ladder trains on the same one rung after rung.
_COUNTED: weakref.WeakSet[Any] = weakref.WeakSet()


def batched(data: TrainData, batch_size: int) -> tf.data.Dataset:
    """Returns the dataset itself, or one of shuffled batches of arrays, whole ones only.

    Raises:
        CompressionError: it is neither, or holds no example.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        return data
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise CompressionError(
            "`train_data` must be a tf.data.Dataset of batches (x, y), a pair (x, y), or (x, y, sample_weight). "
            f"Received: {type(data).__name__}."
        )
    # A list means several inputs, as in `model.fit`; tf.data would stack it.
    parts = tuple(tuple(part) if isinstance(part, list) else part for part in data)
    examples = tf.data.Dataset.from_tensor_slices(parts)
    if not len(examples):
        raise CompressionError("`train_data` must hold at least one example. Received: arrays of 0 rows.")
    return (
        examples.shuffle(len(examples), seed=0).batch(min(batch_size, len(examples)), drop_remainder=True).prefetch(2)
    )


def counted(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset with its number of batches known, as a schedule needs an end.

    One that does not know its length, or was told it, is read through; what this returned is not read again.

    Raises:
        CompressionError: it is empty, endless, shorter than it says, or can be read once only.
    """
    import tensorflow as tf

    if batches in _COUNTED:
        return batches
    length = int(batches.cardinality())
    if length == tf.data.UNKNOWN_CARDINALITY or _was_told(batches):
        is_known = length != tf.data.UNKNOWN_CARDINALITY
        try:
            length = int(batches.reduce(0, lambda count, _: count + 1))
        except tf.errors.FailedPreconditionError as error:
            raise CompressionError(f"`train_data` does not hold what it says. TensorFlow: {error.message}") from error
        if length and not is_known:
            if not len(list(batches.take(1))):
                raise CompressionError(
                    f"`train_data` gave {length} batches and then none: it can be read only once, training reads it "
                    "once an epoch. Make its generator anew in `from_generator`, or keep it with `.cache()`."
                )
            batches = batches.apply(tf.data.experimental.assert_cardinality(length))
    if length < 1:
        received = "endless" if length == tf.data.INFINITE_CARDINALITY else f"{length} batches"
        raise CompressionError(f"`train_data` must hold at least one batch, and end. Received: {received}.")
    _COUNTED.add(batches)
    return batches


def _was_told(batches: Any) -> bool:
    """Tells whether somebody asserted the length of a dataset, or of one that it is made of."""
    waiting = [batches]
    while waiting:
        one = waiting.pop()
        if type(one).__name__ == "_AssertCardinalityDataset":
            return True
        waiting += one._inputs()
    return False
