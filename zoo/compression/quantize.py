"""Quantisation after training: weights rounded to a few bits per channel, nothing trained, no data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.compression.base import AbstractUntrainedTransform, select
from zoo.compression.quantize_aware import BITS, Bits
from zoo.errors import CompressionError, InvalidValueError

if TYPE_CHECKING:
    import keras

__all__ = ["Quantize", "quantize"]


@dataclasses.dataclass(frozen=True)
class Quantize(AbstractUntrainedTransform):
    """Rounds each weight to a whole number times the scale of its channel; zeros stay zeros.

    Channels and numbers are as in `QuantizeAware`, which loses less from four bits down.

    Args:
        weights: how many bits.

    Raises:
        InvalidValueError: a name that is none of these.
    """

    ORDER: ClassVar = 4

    weights: Bits = "int8"

    def __post_init__(self) -> None:
        if self.weights not in BITS:
            raise InvalidValueError("weights", f"one of {', '.join(BITS)}", self.weights)

    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns a copy of the model with rounded weights."""
        import numpy as np

        from zoo.compression.cloning import copied
        from zoo.compression.scales import grid_axes, rounded, starting_scale

        copy = copied(model)
        low, high = BITS[self.weights]
        for path, variable in select(copy, self).items():
            value = np.asarray(variable.numpy())
            scale = starting_scale(value, grid_axes(path, value), low, high)
            variable.assign(rounded(value, scale, low, high))
        return copy


def quantize(
    model: keras.Model,
    weights: Bits = "int8",
    *,
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    engine: Literal["zoo", "keras"] = "zoo",
) -> keras.Model:
    """Returns a copy of a functional model with weights rounded to a few bits.

    The engine `zoo` rounds every kind of weight and leaves layers and speed what they are: the model in memory is of
    float32, and the form `packed` is small. Keras's own holds integers in memory too and computes with them, in Dense,
    EinsumDense and Embedding layers alone. Measured (bytes exported, processor's time of a batch of 32, 2 cores):

    | model | engine | plain | packed | time |
    |---|---|---|---|---|
    | transformer of 4 x 64 | zoo, int8 | 831 KB | 166 KB | 11.9 ms |
    | | keras, int8 | 665 KB | 180 KB | 19.6 ms |
    | LeNet-300-100 | zoo, int8 | 1,097 KB | 272 KB | 0.75 ms |
    | | keras, int8 | 321 KB | 273 KB | 1.08 ms |
    | embedding of 20,000 x 64 | zoo, int8 | 5,144 KB | 1,336 KB | 0.4 to 0.5 ms |
    | | keras, int8 | 1,396 KB | 1,333 KB | 0.4 ms |
    | | keras, int4 | 803 KB | 717 KB | 4.6 ms |

    Keras's wins where a table of embeddings has to be small in memory or in the form `plain`, with int8; its int4 is
    five to ten times slower.

    Args:
        model: built, functional or sequential; any layers.
        weights: how many bits: int8, int6, int5, int4, int3, int2 or ternary; with `keras` int8 or int4.
        only: names or patterns of layers.
        skip: names or patterns of layers.
        engine: `zoo`, or `keras` for `keras.Model.quantize`.

    Raises:
        CompressionError: no functional model, or nothing to quantise.
        InvalidValueError: a name that is none of these.
        UnknownNameError: `only` or `skip` names no layer.
    """
    from zoo.compression.cloning import graph

    if engine not in ("zoo", "keras"):
        raise InvalidValueError("engine", "zoo or keras", engine)
    transform = Quantize(weights, only=only, skip=skip)
    if graph(model) is None:
        raise CompressionError(
            f"Quantisation needs a built functional or sequential `keras.Model`. Received: {type(model).__name__}. "
            "Give a subclassed model a functional shell: `keras.Model(inputs, model(inputs))`."
        )
    return transform.prepare(model) if engine == "zoo" else _by_keras(model, transform)


def _by_keras(model: keras.Model, transform: Quantize) -> keras.Model:
    import warnings

    import keras

    from zoo.compression.cloning import copied

    if transform.weights not in ("int8", "int4"):
        raise InvalidValueError("weights", "int8 or int4 with engine='keras'", transform.weights)
    copy = copied(model)
    chosen = {id(variable) for variable in select(copy, transform).values()}
    kinds = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)

    def is_chosen(layer: Any) -> bool:
        return isinstance(layer, kinds) and any(id(variable) in chosen for variable in layer.trainable_variables)

    layers: Any = copy._flatten_layers()
    if not any(map(is_chosen, layers)):
        raise CompressionError(
            "Keras quantises Dense, EinsumDense and Embedding layers, and the model has none that `only` and `skip` "
            "leave. Take engine='zoo', which rounds every kind of weight."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for each layer of another kind
        copy.quantize(transform.weights, filters=is_chosen)
    return copy
