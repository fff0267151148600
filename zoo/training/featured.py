"""A source whose examples have gone through features already, so that the pipeline can keep the results in memory.

Shape glossary: `B` batch, `T` time.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from zoo.data.base import AbstractSource, DataInfo, TensorInfo
from zoo.data.pipeline import PARALLEL_CALLS, batches
from zoo.features.base import AbstractFeature, compose

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Featured"]

_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Featured(AbstractSource):
    """The examples of `source` as `features` leave them, none of them random, nothing padded."""

    source: AbstractSource
    features: tuple[AbstractFeature, ...]

    def info(self) -> DataInfo:
        """Returns what is known of the examples after the features; computes none."""
        before = self.source.info()
        spec = self._after
        made = [name for feature in self.features for name in feature.writes() if name in spec]
        masks = set(before.mask_names().values()) | {"padding_mask"}
        names = [*dict.fromkeys(made), *(name for name in spec if name not in made)]
        tensors = {name: _tensor(spec[name], before.tensors.get(name)) for name in names if name not in masks}
        return dataclasses.replace(before, tensors=tensors)

    def load(self, split: str) -> tf.data.Dataset:
        """Returns the examples of `split`, each as long as its mask says."""
        import tensorflow as tf

        apply, masks = compose(self.features), self.info().mask_names()
        raw = batches(self.source, split, batch_size=_BATCH_SIZE, shuffle=False, seed=0, cache_bytes=0)
        num_examples = self.source.load(split).cardinality()

        def trimmed(example: dict[str, Any]) -> dict[str, Any]:
            for name, mask in masks.items():
                length = tf.reduce_sum(tf.cast(example.pop(mask), tf.int32))
                example[name] = tf.ensure_shape(example[name][:length], example[name].shape)
            return example

        examples = raw.map(apply, num_parallel_calls=PARALLEL_CALLS).unbatch().map(trimmed)
        return examples.apply(tf.data.experimental.assert_cardinality(num_examples)) if num_examples > 0 else examples

    @functools.cached_property
    def _after(self) -> dict[str, tf.TensorSpec]:
        """The form of each tensor of a batch behind the features, masks included."""
        import tensorflow as tf

        before = self.source.info()
        specs = {
            name: tf.TensorSpec((None, *tensor.shape), tf.as_dtype(tensor.dtype))
            for name, tensor in before.tensors.items()
        }
        specs |= {mask: tf.TensorSpec((None, None), tf.bool) for mask in before.mask_names().values()}
        apply = tf.function(compose(self.features), autograph=False)
        after = apply.get_concrete_function(specs).structured_outputs
        return {name: tf.TensorSpec.from_tensor(tensor) for name, tensor in after.items()}


def _tensor(spec: tf.TensorSpec, before: TensorInfo | None) -> TensorInfo:
    """Returns the form of one example's tensor; class names stay with what kept its form."""
    shape, dtype = tuple(spec.shape[1:]), spec.dtype.name
    if before is not None and (before.shape, before.dtype) == (shape, dtype):
        return before
    return TensorInfo(shape=shape, dtype=dtype)
