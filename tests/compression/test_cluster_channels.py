"""Values shared in each channel: trained, kept by what comes after and by a later call, and packed."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.compression.centroids import _nearest, _nearest_of_left
from zoo.compression.cluster import Cluster
from zoo.compression.preserve import Preserve
from zoo.compression.prune import Prune
from zoo.compression.quantize_aware import QuantizeAware
from zoo.compression.sharing import Rows, channel_axes, is_clustered, shared_rows
from zoo.errors import InvalidValueError
from zoo.training.compress import compress

LOSS = "mean_squared_error"


def model():
    x = keras.Input((8, 8, 4), name="x")
    y = keras.layers.Conv2D(6, 3, name="conv")(x)
    y = keras.layers.DepthwiseConv2D(3, name="depthwise")(y)
    y = keras.layers.Flatten()(y)
    return keras.Model(x, keras.layers.Dense(3, name="out")(y))


def data(rows=32):
    x = np.random.default_rng(0).normal(size=(rows, 8, 8, 4)).astype("float32")
    return x, x.mean(axis=(1, 2))[:, :3]


def channels(one, layer):
    """Returns the weights of each output of a layer as a row."""
    kernel = np.asarray(one.get_layer(layer).kernel)
    last = 2 if layer == "depthwise" else 1
    return kernel.reshape(-1, int(np.prod(kernel.shape[-last:]))).T


def counts(rows):
    return [len(np.unique(row)) for row in rows]


@pytest.mark.parametrize("wrong", [{"num_clusters": 257}, {"num_clusters": 4, "per": "row"}])
def test_refused_values(wrong: Any):
    with pytest.raises(InvalidValueError, match=f"`{list(wrong)[-1]}` must be"):
        Cluster(**wrong)


def test_rows_are_channels_and_come_back():
    values = np.random.default_rng(0).normal(size=(3, 3, 4, 2)).astype("float32")
    rows = Rows(values.shape, channel_axes("depthwise/kernel", values.shape))
    np.testing.assert_array_equal(rows.of(values), values.reshape(9, 8).T)
    np.testing.assert_array_equal(rows.back(rows.of(values)), values)
    assert rows.numbers().shape == (1, 1, 4, 2)


def test_each_channel_has_values_of_its_own(seeded):
    small = compress(model(), data(), [Cluster(4, per="channel")], loss=LOSS, epochs=1)
    for layer in ("conv", "depthwise", "out"):
        rows = channels(small, layer)
        assert max(counts(rows)) == 4
        assert len(np.unique(rows)) > 8


@pytest.mark.parametrize(("per", "bits"), [("channel", "int8"), ("tensor", "int2")])
def test_pruned_clustered_quantised_keeps_zeros_and_values_of_each_channel(per, bits, seeded):
    two = compress(model(), data(), [Prune(0.6), Cluster(5, per=per)], loss=LOSS, epochs=1)
    small = compress(two, data(), [QuantizeAware(bits)], loss=LOSS, epochs=2, learning_rate=1e-2)
    for layer in ("conv", "depthwise", "out"):
        before, after = channels(two, layer), channels(small, layer)
        assert (after[before == 0] == 0).all()
        assert (before == 0).mean() >= 0.59
        assert all(now <= was <= 5 for now, was in zip(counts(after), counts(before), strict=True))
        if per == "tensor":
            assert len(np.unique(after)) <= len(np.unique(before)) <= 5


def test_a_later_call_keeps_what_is_shared_in_channels(seeded):
    first = compress(model(), data(), [Cluster(4, per="channel")], loss=LOSS, epochs=1)
    rows = shared_rows("conv/kernel", np.asarray(first.get_layer("conv").kernel))
    assert rows == Rows((3, 3, 4, 6), (3,))
    second = compress(first, data(), [Prune(0.3)], loss=LOSS, epochs=4, learning_rate=1e-2)
    old, new = channels(first, "conv"), channels(second, "conv")
    assert np.abs(old - new)[new != 0].max() > 1e-3, "the values themselves are trained"
    for was, now in zip(old, new, strict=True):
        for value in np.unique(was):
            assert len(set(now[was == value]) - {0.0}) <= 1


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(5, 5, 1, 6), (20, 12)], ids=str)
def test_equal_numbers_by_chance_are_not_shared(kind, shape):
    """Kernels that once had 16 bits keep a few equal pairs, and a scale for each channel."""
    weights = np.random.default_rng(0).normal(size=shape) * 0.2
    rounded = weights.astype(tf.as_dtype(kind).as_numpy_dtype).astype("float32")
    assert len(np.unique(rounded)) < rounded.size, "or there is nothing to mistake"
    assert shared_rows("conv/kernel", rounded) is None


@pytest.mark.parametrize(("clusters", "size"), [(4, 6), (9, 10), (9, 12), (16, 20), (32, 40), (256, 600)])
def test_small_clustered_tensors_are_known(clusters, size):
    random = np.random.default_rng(0)
    values = random.normal(size=clusters).astype("float32")
    weights = values[np.concatenate([np.arange(clusters), random.integers(0, clusters, size - clusters)])]
    assert is_clustered(weights[:, None])


def test_pruning_alone_shares_nothing():
    """A tensor with few survivors has few distinct values, none of them shared."""
    random = np.random.default_rng(0)
    sparse = random.normal(size=(100, 10)).astype("float32")
    sparse[random.random(sparse.shape) < 0.9] = 0
    assert not is_clustered(sparse)
    assert shared_rows("out/kernel", sparse) is None
    assert not is_clustered(np.zeros((30, 4), "float32")), "an initialiser"
    assert shared_rows("out/kernel", np.ones((30, 4), "float32")) is None
    assert Preserve({}).weights == {}


def test_a_small_tensor_keeps_its_number_of_values_through_quantisation(seeded):
    """16 values among 20 weights: a scale for each channel would make more."""
    x = keras.Input((4,), name="x")
    tiny = keras.Model(x, keras.layers.Dense(5, name="out")(x))
    inputs = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    transforms = [Cluster(16), QuantizeAware("int8")]
    small = compress(tiny, (inputs, np.tile(inputs, 2)[:, :5]), transforms, loss=LOSS, epochs=1, learning_rate=1e-2)
    assert len(np.unique(np.asarray(small.get_layer("out").kernel))) <= 16


@pytest.mark.parametrize("keep_zero", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_gradients_are_those_of_a_look_up_and_straight_through(count, keep_zero):
    random = np.random.default_rng(0)
    values = random.normal(size=(count, 40)).astype("float32")
    values[:, ::5] = 0
    centroids = np.sort(random.normal(size=(count, 6)).astype("float32"))
    upstream = random.normal(size=values.shape).astype("float32")
    with tf.GradientTape() as tape:
        tensors: Any = [tf.constant(centroids), tf.constant(values)]
        tape.watch(tensors)
        loss = tf.reduce_sum((shared := _nearest(tensors[0], tensors[1], keep_zero)) * upstream)
    of_centroids, of_values = tape.gradient(loss, tensors)
    nearest = np.abs(values[:, :, None] - centroids[:, None]).argmin(axis=2)
    zero = (values == 0) & keep_zero
    expected = np.where(zero, 0, np.take_along_axis(centroids, nearest, axis=1))
    np.testing.assert_array_equal(shared, expected)
    sums = [[upstream[row][(nearest[row] == k) & ~zero[row]].sum() for k in range(6)] for row in range(count)]
    np.testing.assert_allclose(of_centroids, sums, atol=1e-5)
    np.testing.assert_array_equal(of_values, upstream)


def test_pruned_weights_neither_move_nor_count():
    random = np.random.default_rng(0)
    value, centroids = random.normal(size=(5, 8)).astype("float32"), np.array([[-1.0, 0.5, 1.0]], "float32")
    left = np.sort(random.permutation(40)[:9]).astype("int32")
    with tf.GradientTape() as tape:
        tensors: Any = [tf.constant(centroids), tf.constant(value)]
        tape.watch(tensors)
        loss = tf.reduce_sum(shared := _nearest_of_left(tensors[0], tensors[1], tf.constant(left)))
    of_centroids, of_value = tape.gradient(loss, tensors)
    flat = np.zeros(40)
    flat[left] = 1
    np.testing.assert_array_equal(np.asarray(of_value).ravel(), flat)
    assert float(tf.reduce_sum(of_centroids)) == 9
    assert np.count_nonzero(shared) == 9


def test_channel_values_are_packed_small_and_answer_equally(seeded, tmp_path):
    x = keras.Input((300,), name="x")
    wide = keras.Model(x, keras.layers.Dense(64, name="out")(x))
    inputs = np.random.default_rng(0).normal(size=(32, 300)).astype("float32")
    small = compress(wide, (inputs, inputs[:, :64]), [Cluster(8, per="channel")], loss=LOSS, epochs=1)
    published = zoo.export(small, tmp_path, name="m", form="packed")
    kernel = small.get_layer("out").kernel
    assert published.manifest["bytes"] < 0.5 * int(np.prod(kernel.shape)) + 12_000
    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    np.testing.assert_array_equal(signature(x=tf.constant(inputs))["out"], small(inputs))
