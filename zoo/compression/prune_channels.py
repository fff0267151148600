"""Structured pruning while training: the channels that matter least are masked, and removed when training is done.

Papers: arXiv 1608.08710 (filters by their norm), 1611.06440 (ranks over all layers), 1710.01878 (the cubic schedule).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.compression.base import AbstractAttachment, AbstractTransform, named_weights
from zoo.compression.schedule import check_schedule, check_sparsity, mask_steps
from zoo.errors import CompressionError, InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from zoo.compression.channels import ChannelGroup

__all__ = ["PruneChannels"]


@dataclasses.dataclass(frozen=True)
class PruneChannels(AbstractTransform):
    """Removes a share of the channels and attention heads: the model gets smaller and quicker on any hardware.

    A channel that is masked has zeros in all weights that make or read it; it keeps their last values behind the mask
    and may return. `finish` takes the masked channels out of the graph. A group (`channel_groups`) is pruned if `only`
    and `skip` leave all weights that make or carry its channels; what reads them may be anything.

    Args:
        sparsity: share of channels to remove, of those that can be, in [0, 1). Channels and heads count alike.
        initial_sparsity: share at the beginning of a polynomial schedule.
        schedule: cubic from `initial_sparsity` to `sparsity`, or all at once.
        begin: share of the training steps before the first mask.
        end: share of the training steps after which masks stay as they are.
        num_updates: masks computed between `begin` and `end`.
        scope: rank the channels of all groups together, or take the same share of each group.
        min_channels: how many stay in each group at least.

    Raises:
        InvalidValueError: a value out of range.
    """

    ORDER: ClassVar = 0

    sparsity: float
    _: dataclasses.KW_ONLY
    initial_sparsity: float = 0.0
    schedule: Literal["polynomial", "constant"] = "polynomial"
    begin: float = 0.0
    end: float = 0.6
    num_updates: int = 30
    scope: Literal["global", "layer"] = "global"
    min_channels: int = 1

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity, self.initial_sparsity)
        check_schedule(self.schedule, self.begin, self.end, self.num_updates)
        if self.scope not in ("global", "layer"):
            raise InvalidValueError("scope", "global or layer", self.scope)
        if self.min_channels < 1:
            raise InvalidValueError("min_channels", "at least 1", self.min_channels)

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Returns the masks at work, all ones until the schedule begins.

        Raises:
            CompressionError: no group of channels can be pruned.
        """
        from zoo.compression.channels import channel_groups

        trained = named_weights(model)
        groups = [group for group in channel_groups(model) if _selected(group, weights, trained)]
        if not groups:
            raise CompressionError(
                f"Model {model.name!r} has no channels to remove: each belongs to an input, an output, a layer without "
                "a rule in zoo.compression.channel_table, or a weight that `only`, `skip` or `trainable` leaves out. "
                f"Received: only={self.only}, skip={self.skip}."
            )
        return _ChannelMasks(self, groups, trained, num_steps)

    def finish(self, model: keras.Model, attachment: AbstractAttachment) -> keras.Model:
        """Returns a smaller model without the channels that are masked; names, inputs and outputs are the same."""
        from zoo.compression.channels import remove_channels

        if not isinstance(attachment, _ChannelMasks):
            raise InvalidValueError("attachment", "what `attach` of PruneChannels returned", attachment)
        return remove_channels(model, attachment.kept())


def _is_kernel(path: str, variable: keras.Variable) -> bool:
    return len(variable.shape) >= 2 and variable.name != "bias"


def _selected(
    group: ChannelGroup, weights: Mapping[str, keras.Variable], trained: Mapping[str, keras.Variable]
) -> bool:
    """Tells whether all weights that make these channels may be pruned, and all that read them can be masked."""
    makes = [part.path for part in group.slices if part.side == "produces"]
    reads = [part.path for part in group.slices if part.side == "consumes"]
    kernels = [path for path in makes if path in trained and _is_kernel(path, trained[path])]
    return bool(kernels) and all(path in weights for path in kernels) and all(path in trained for path in reads)


class _ChannelMasks(AbstractAttachment):
    def __init__(
        self,
        transform: PruneChannels,
        groups: Sequence[ChannelGroup],
        trained: Mapping[str, keras.Variable],
        num_steps: int,
    ):
        import numpy as np
        import tensorflow as tf

        self._transform, self._groups = transform, groups
        self._begin, self._end, self._frequency = mask_steps(
            transform.begin, transform.end, transform.num_updates, num_steps
        )
        paths = dict.fromkeys(part.path for group in groups for part in group.slices if part.path in trained)
        self.weights = {path: trained[path] for path in paths}
        sizes = [group.size for group in groups]
        self._starts = np.cumsum([0, *sizes])
        self._places = self._place()
        # Each replica computes the same masks from the same weights: nothing to send between them.
        self._masks = tf.Variable(
            tf.ones([sum(sizes)]),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def _place(self) -> dict[str, list[tuple[int, np.ndarray]]]:
        """Returns for each weight its axes, and which mask is that of each position; the last is always one."""
        import numpy as np

        places: dict[str, dict[int, np.ndarray]] = {path: {} for path in self.weights}
        for group, start in zip(self._groups, self._starts[:-1], strict=True):
            for part in group.slices:
                if part.path in places:
                    size = int(self.weights[part.path].shape[part.axis])
                    slots = places[part.path].setdefault(part.axis, np.full(size, self._starts[-1]))
                    slots[part.indices] = start + np.arange(group.size)[:, None]
        return {path: list(axes.items()) for path, axes in places.items()}

    def variables(self) -> list[keras.Variable]:
        return []

    def advance(self, step: tf.Tensor) -> None:
        import tensorflow as tf

        inside = tf.logical_and(step >= self._begin, step <= self._end)
        due = tf.logical_and(inside, tf.equal(tf.math.floormod(step - self._begin, self._frequency), 0))
        # A branch may not write to a variable of several replicas, so the value leaves it.
        masks: Any = tf.cond(due, lambda: self._computed(step), lambda: tf.convert_to_tensor(self._masks))
        self._masks.assign(masks)

    def _sparsity(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the share that is masked at a step in the schedule, float32 []."""
        import tensorflow as tf

        final, initial = self._transform.sparsity, self._transform.initial_sparsity
        if self._transform.schedule == "constant" or self._begin == self._end:
            return tf.constant(final, tf.float32)
        progress = tf.cast(step - self._begin, tf.float32) / float(self._end - self._begin)
        return final + (initial - final) * (1 - progress) ** 3

    def _computed(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the masks of all groups, float32 [channels]."""
        import tensorflow as tf

        from zoo.compression.channels import scores

        values = {path: weight.value for path, weight in self.weights.items() if _is_kernel(path, weight)}
        ranked: Any = [scores(group, values) for group in self._groups]
        sparsity, least = self._sparsity(step), self._transform.min_channels
        # The best of each group are out of reach.
        ranked = [_raised(one, min(least, group.size)) for one, group in zip(ranked, self._groups, strict=True)]
        if self._transform.scope == "global":
            return _without_lowest(tf.concat(ranked, 0), sparsity, self._removable())
        free = [max(0, group.size - least) for group in self._groups]
        return tf.concat([_without_lowest(one, sparsity, limit) for one, limit in zip(ranked, free, strict=True)], 0)

    def _removable(self) -> int:
        return sum(max(0, group.size - self._transform.min_channels) for group in self._groups)

    def _promised(self) -> int:
        """Returns how many channels are masked at the end."""
        least, share = self._transform.min_channels, self._transform.sparsity
        if self._transform.scope == "global":
            return min(_count(int(self._starts[-1]), share), self._removable())
        return sum(min(_count(group.size, share), max(0, group.size - least)) for group in self._groups)

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        masks: Any = tf.concat([tf.convert_to_tensor(self._masks), tf.ones([1])], 0)
        for axis, slots in self._places[path]:
            shape = [-1 if number == axis else 1 for number in range(len(value.shape))]
            value = value * tf.cast(tf.reshape(tf.gather(masks, slots), shape), value.dtype)
        return value

    def kept(self) -> dict[str, np.ndarray]:
        """Returns by name of a group which of its channels are not masked, bool [n]."""
        import numpy as np

        masks = np.asarray(self._masks.numpy()) > 0
        return {
            group.name: masks[start : start + group.size]
            for group, start in zip(self._groups, self._starts[:-1], strict=True)
        }

    def verify(self, path: str, value: np.ndarray) -> str | None:
        import numpy as np

        masks = np.append(np.asarray(self._masks.numpy()), 1)
        masked, promised = int((masks == 0).sum()), self._promised()
        if masked != promised:
            return f"{masked} channels masked in all, {promised} promised"
        for axis, slots in self._places[path]:
            wrong = np.count_nonzero(np.compress(masks[slots] == 0, value, axis=axis))
            if wrong:
                return f"{wrong} weights of masked channels on axis {axis} are not zero"
        return None


def _count(size: int, share: float) -> int:
    """Returns that share of `size` in whole channels, rounded as the graph does it."""
    import numpy as np

    return int(np.round(np.float32(size) * np.float32(share)))


def _raised(ranked: Any, number: int) -> Any:
    """Returns scores in which the highest `number` are infinite."""
    import tensorflow as tf

    best = tf.math.top_k(ranked, number).indices
    return tf.tensor_scatter_nd_update(ranked, best[:, None], tf.fill([number], float("inf")))


def _without_lowest(ranked: Any, share: Any, limit: int) -> Any:
    """Returns ones, and zeros for that share of the lowest scores, but for `limit` of them at most."""
    import tensorflow as tf

    size = int(ranked.shape[0])
    number = tf.minimum(tf.cast(tf.round(share * size), tf.int32), limit)
    ranks = tf.argsort(tf.argsort(ranked, stable=True), stable=True)
    return tf.cast(ranks >= number, tf.float32)
