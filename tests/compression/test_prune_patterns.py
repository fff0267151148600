"""Prune beyond one share per tensor: one threshold for all, blocks, m:n, weights that return."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.compression.base import select
from zoo.compression.masks import Masks, _global_masks
from zoo.compression.prune import Prune
from zoo.compression.reparametrized import Reparametrized
from zoo.errors import CompressionError, InvalidValueError
from zoo.training.compress import compress

LOSS = "mean_squared_error"


def data(rows=64, shape=(8,)):
    x = np.random.default_rng(0).normal(size=(rows, *shape)).astype("float32")
    return x, x.reshape(rows, -1)[:, :2]


def dense():
    x = keras.Input((8,), name="x")
    hidden = keras.layers.Dense(16, activation="relu", name="first")(x)
    return keras.Model(x, keras.layers.Dense(2, name="second")(hidden))


def images():
    x = keras.Input((6, 6, 4), name="x")
    y = keras.layers.Conv2D(8, 3, name="conv")(x)
    return keras.Model(x, keras.layers.Dense(2, name="head")(keras.layers.Flatten()(y)))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Prune(0.5, scope="global", block=(1, 4)), "scope"),
        (lambda: Prune(0.5, block=(0, 4)), "block"),
        (lambda: Prune(0.5, m_by_n=(4, 4)), "m_by_n"),
        (lambda: Prune(0.6, m_by_n=(2, 4)), "sparsity"),
        (lambda: Prune(0.5, m_by_n=(2, 4), block=(1, 2)), "m_by_n"),
    ],
)
def test_patterns_that_exclude_each_other(make, field):
    with pytest.raises(InvalidValueError, match=f"`{field}` must be"):
        make()


@pytest.mark.parametrize("block", [(1, 4), (4, 4), (2, 1)])
@pytest.mark.parametrize(("make", "shape", "only"), [(dense, (8,), "first"), (images, (6, 6, 4), "conv")])
def test_blocks_are_zero_together(make, shape, only, block, seeded):
    small = compress(make(), data(32, shape), [Prune(0.5, block=block, only=(only,))], loss=LOSS, epochs=2)
    kernel = np.asarray(small.layers[1].kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    rows, columns = matrix.shape[0] // block[0], matrix.shape[1] // block[1]
    blocks = matrix[: rows * block[0], : columns * block[1]].reshape(rows, block[0], columns, block[1])
    zero = (blocks == 0).all(axis=(1, 3))
    assert zero.mean() == pytest.approx(0.5, abs=0.1)
    assert ((blocks != 0).any(axis=(1, 3)) == ~zero).all()
    assert ((blocks == 0).mean(axis=(1, 3))[~zero] < 0.5).all()


@pytest.mark.parametrize("block", [(4, 4), (3, 5)])
def test_the_proof_of_blocks_can_fail(block):
    transform = Prune(0.75, block=block)
    kernel = np.random.default_rng(0).normal(size=(16, 16)).astype("float32")
    masks = Masks(transform, {"k": keras.Variable(kernel)}, {"k": kernel}, 100)
    assert "0.0000 of its blocks" in str(masks.verify("k", kernel))
    rows, columns = -(-16 // block[0]), -(-16 // block[1])
    scattered = np.where(np.random.default_rng(1).random((16, 16)) < 0.9, 0, kernel)
    assert "promised" in str(masks.verify("k", scattered)), "zeros, but not in blocks"
    zero = kernel.copy()
    needed = rows * columns - round(rows * columns / 4)
    for number in range(needed):
        assert "promised" in str(masks.verify("k", zero)), number
        row, column = block[0] * (number // columns), block[1] * (number % columns)
        zero[row : row + block[0], column : column + block[1]] = 0
    assert masks.verify("k", zero) is None


@pytest.mark.parametrize("pattern", [{}, {"block": (4, 4)}, {"scope": "global"}], ids=str)
def test_a_weight_behind_its_mask_is_found(pattern):
    kernel = np.random.default_rng(0).normal(size=(16, 16)).astype("float32")
    masks = Masks(Prune(0.5, **pattern), {"k": keras.Variable(kernel)}, {"k": kernel}, 100)
    mask = np.ones_like(kernel)
    mask[:12] = 0
    masks._masks["k"].assign(mask)
    assert masks.verify("k", kernel * mask) is None
    wrong = kernel * mask
    wrong[3, 5] = 1
    assert "behind its mask" in str(masks.verify("k", wrong))


@pytest.mark.parametrize(("make", "shape"), [(dense, (8,)), (images, (6, 6, 4))], ids=["dense", "conv"])
def test_two_of_each_four_inputs_are_zero(make, shape, seeded):
    small = compress(make(), data(32, shape), [Prune(0.5, m_by_n=(2, 4))], loss=LOSS, epochs=1)
    for layer in (small.layers[1], small.layers[-1]):
        kernel = np.asarray(layer.kernel)
        groups = np.moveaxis(kernel, -2, -1).reshape(-1, 4)  # the inputs of one output in a row
        assert ((groups == 0).sum(axis=1) >= 2).all()
        assert (kernel != 0).any()


def test_m_by_n_of_three_axes_is_refused_before_training(seeded):
    x = keras.Input((8, 4))
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Conv1D(4, 3, name="conv")(x))))
    with pytest.raises(CompressionError, match=r"two or four axes. Received: conv/kernel"):
        compress(model, data(8, (8, 4)), [Prune(0.5, m_by_n=(2, 4))], loss=LOSS)


def test_global_threshold_follows_lamp():
    random = np.random.default_rng(0)
    values = {"small": random.normal(size=30) * 0.01, "large": random.normal(size=(10, 7))}

    def lamp(value):
        flat = np.sort(np.square(value.ravel()))
        score = {square: square / flat[index:].sum() for index, square in enumerate(flat)}
        return np.vectorize(lambda one: score[np.square(one)])(value)

    scores = {name: lamp(value) for name, value in values.items()}
    threshold = np.sort(np.concatenate([score.ravel() for score in scores.values()]))[70]  # of 100
    masks = _global_masks({name: tf.constant(value, tf.float32) for name, value in values.items()}, tf.constant(0.7))
    for name, mask in masks.items():
        np.testing.assert_array_equal(np.asarray(mask) == 1, scores[name] >= threshold)


def test_global_scope_shares_zeros_out_between_layers(seeded):
    small = compress(dense(), data(), [Prune(0.8, scope="global")], loss=LOSS, epochs=2)
    kernels = [np.asarray(small.get_layer(name).kernel) for name in ("first", "second")]
    zeros = [float((kernel == 0).mean()) for kernel in kernels]
    assert sum((kernel == 0).sum() for kernel in kernels) / sum(kernel.size for kernel in kernels) >= 0.795
    assert abs(zeros[0] - zeros[1]) > 0.05
    assert max(zeros) < 1


@pytest.mark.parametrize("regrow", [False, True])
def test_only_with_regrow_do_masked_weights_learn(regrow, seeded):
    model = dense()
    transform = Prune(0.5, schedule="constant", end=0.0, regrow=regrow)
    weights = select(model, transform)
    attachment: Any = transform.attach(
        weights, {path: np.asarray(weight) for path, weight in weights.items()}, 5, model=model
    )
    trained = Reparametrized(model, [attachment], [attachment])
    trained.compile(keras.optimizers.SGD(0.1), LOSS, jit_compile=False)  # pyright: ignore[reportArgumentType]
    before = model.get_layer("first").kernel.numpy()
    for _ in range(3):
        trained.train_on_batch(*data(16))
    masked = attachment._masks["first/kernel"].numpy() == 0
    moved = np.abs(model.get_layer("first").kernel.numpy() - before)[masked]
    assert masked.mean() == 0.5
    assert (moved.max() > 1e-3) == regrow


def test_zeros_of_an_earlier_call_stay_where_a_later_one_asks_for_fewer(seeded):
    first = compress(dense(), data(), [Prune(0.8)], loss=LOSS, epochs=2)
    second = compress(first, data(), [Prune(0.3, regrow=True)], loss=LOSS, epochs=3, learning_rate=1e-2)
    for name in ("first", "second"):
        old, new = (np.asarray(model.get_layer(name).kernel) for model in (first, second))
        assert (new[old == 0] == 0).all()
        assert (new != 0).any()
