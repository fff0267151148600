"""Models of layers one behind the other: every kind of layer, with the groups of channels that each must have."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from zoo.compression.channels import channel_groups

VECTOR, SEQUENCE, IMAGE, VOLUME = (6,), (8, 5), (8, 8, 3), (4, 4, 4, 2)


def sizes(model):
    return {group.name: group.size for group in channel_groups(model)}


def chain(shape, *steps, dtype="float32"):
    """Returns a model of layers one behind the other, a dense one at the end."""
    x = entered = keras.Input(shape, name="x", dtype=dtype)
    for step in steps:
        x = step(x)
    return keras.Model(entered, layers.Dense(2, name="last")(x), name="chain")


def table(rows, columns) -> Any:
    """Returns an initial value that fits one shape only."""
    values: Any = np.ones((rows, columns), "float32")
    return keras.initializers.Constant(values)


def conv(filters=6, name="conv", **settings):
    return layers.Conv2D(filters, 3, name=name, **settings)


# name: a model, and the groups that it must have
CHAINS = {
    "dense": (lambda: chain(VECTOR, layers.Dense(8, "relu", name="a"), layers.Dense(6, name="b")), {"a": 8, "b": 6}),
    "no_bias": (lambda: chain(VECTOR, layers.Dense(8, use_bias=False, name="a")), {"a": 8}),
    "einsum": (
        lambda: chain(
            SEQUENCE,
            layers.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d", name="a"),
            layers.EinsumDense("...c,cd->...d", 6, activation="gelu", name="b"),
        ),
        {"a": 8, "b": 6},
    ),
    "conv1d": (
        lambda: chain(SEQUENCE, layers.Conv1D(6, 3, name="a"), layers.ReLU(), layers.GlobalMaxPooling1D()),
        {"a": 6},
    ),
    "conv2d_flatten": (lambda: chain(IMAGE, conv(), layers.MaxPooling2D(), layers.Flatten()), {"conv": 6}),
    "conv3d": (lambda: chain(VOLUME, layers.Conv3D(4, 2, name="a"), layers.Flatten()), {"a": 4}),
    "transposed": (
        lambda: chain(IMAGE, layers.Conv2DTranspose(6, 3, 2, name="a"), conv(), layers.GlobalAveragePooling2D()),
        {"a": 6, "conv": 6},
    ),
    "separable": (
        lambda: chain(
            IMAGE,
            conv(4),
            layers.SeparableConv2D(6, 3, depth_multiplier=2, activation="relu", name="a"),
            layers.GlobalAveragePooling2D(),
        ),
        {"conv": 4, "a": 6},
    ),
    "depthwise": (
        lambda: chain(
            IMAGE,
            conv(4),
            layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="deep"),
            layers.BatchNormalization(),
            layers.Flatten(),
        ),
        {"conv": 4},
    ),
    "batch_norm": (
        lambda: chain(IMAGE, conv(), layers.BatchNormalization(scale=False), layers.LeakyReLU(), layers.Flatten()),
        {"conv": 6},
    ),
    "carriers": (
        lambda: chain(
            IMAGE,
            conv(),
            layers.PReLU(shared_axes=[1, 2]),
            layers.ZeroPadding2D(1),
            layers.Cropping2D(1),
            layers.UpSampling2D(),
            layers.SpatialDropout2D(0.1),
            layers.AveragePooling2D(2),
            layers.PReLU(),
            layers.Activation("swish"),
            layers.Rescaling(0.5, 0.1),
            layers.Permute((2, 1, 3)),
            layers.GaussianNoise(0.1),
            layers.Flatten(),
            layers.Dropout(0.1),
        ),
        {"conv": 6},
    ),
    "reshape": (
        lambda: chain(
            IMAGE, conv(), layers.Reshape((36, 6)), layers.Reshape((18, 12)), layers.ReLU(), layers.Reshape((-1,))
        ),
        {"conv": 6},
    ),
    "embedding": (
        lambda: chain((7,), layers.Embedding(9, 6, mask_zero=True, name="a"), layers.LSTM(5, name="b"), dtype="int32"),
        {"a": 6, "b": 5},
    ),
    "table": (
        lambda: chain(
            (7,),
            layers.Embedding(9, 6, embeddings_initializer=table(9, 6), name="a"),
            layers.Flatten(),
            dtype="int32",
        ),
        {"a": 6},
    ),
    "repeat": (
        lambda: chain(VECTOR, layers.Dense(8, name="a"), layers.RepeatVector(3), layers.SimpleRNN(4, name="b")),
        {"a": 8, "b": 4},
    ),
    "lstm": (
        lambda: chain(SEQUENCE, layers.LSTM(6, return_sequences=True, name="a"), layers.LSTM(4, name="b")),
        {"a": 6, "b": 4},
    ),
    "gru_after": (
        lambda: chain(SEQUENCE, layers.GRU(6, return_sequences=True, name="a"), layers.GRU(4, name="b")),
        {"a": 6, "b": 4},
    ),
    "gru_before": (lambda: chain(SEQUENCE, layers.GRU(6, reset_after=False, name="a")), {"a": 6}),
    "bidirectional": (
        lambda: chain(
            SEQUENCE,
            layers.Bidirectional(layers.LSTM(6, return_sequences=True), name="a"),
            layers.Bidirectional(layers.GRU(4), merge_mode="sum", name="b"),
        ),
        {"a": 6, "b": 4},
    ),
    "sequential": (
        lambda: keras.Sequential([keras.Input(VECTOR), layers.Dense(8, name="a"), layers.Dense(2)], name="chain"),
        {"chain/a": 8},
    ),
    # What has to stay.
    "softmax": (lambda: chain(VECTOR, layers.Dense(8, "softmax", name="a")), {}),
    "softmax_layer": (lambda: chain(VECTOR, layers.Dense(8, name="a"), layers.Softmax()), {}),
    "activation": (lambda: chain(VECTOR, layers.Dense(8, name="a"), layers.Activation("log_softmax")), {}),
    "layer_norm": (lambda: chain(VECTOR, layers.Dense(8, name="a"), layers.LayerNormalization()), {}),
    "lambda": (lambda: chain(VECTOR, layers.Dense(8, name="a"), layers.Lambda(lambda x: x[..., :4])), {}),
    "groups": (lambda: chain(IMAGE, conv(4), conv(6, "b", groups=2), layers.Flatten()), {}),
    "split": (lambda: chain(VECTOR, layers.Dense(8, name="a"), layers.Reshape((4, 2)), layers.Flatten()), {}),
    "distributed": (lambda: chain(SEQUENCE, layers.TimeDistributed(layers.Dense(8)), layers.Flatten()), {}),
    "stateful": (
        lambda: keras.Sequential([keras.Input(batch_shape=(3, 8, 5)), layers.LSTM(6, stateful=True), layers.Dense(2)]),
        {},
    ),
    "operation": (lambda: chain(VECTOR, layers.Dense(8, name="a"), lambda x: x * 2.0), {}),
}
