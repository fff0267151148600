"""Prune and Cluster by themselves: schedules, centroids, proofs, and models that cannot be compressed."""

import os
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.compression.base import select
from zoo.compression.cloning import copied
from zoo.compression.cluster import Cluster, initial_centroids
from zoo.compression.prune import Prune
from zoo.compression.reparametrized import Reparametrized, write_back
from zoo.errors import CompressionError, InvalidValueError, UnknownNameError
from zoo.training.compress import compress
from zoo.training.compress_data import counted

LOSS = "mean_squared_error"
WRONG: Any = "lin"


def two_layers():
    x = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", name="first")(x)
    return keras.Model(x, keras.layers.Dense(2, name="second")(hidden))


def data(rows=64):
    x = np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")
    return x, np.stack([x.sum(axis=1), x[:, 0]], axis=1)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Prune(1.0), "sparsity"),
        (lambda: Prune(-0.1), "sparsity"),
        (lambda: Prune(0.5, initial_sparsity=0.6), "initial_sparsity"),
        (lambda: Prune(0.5, begin=0.7, end=0.6), "end"),
        (lambda: Prune(0.5, num_updates=0), "num_updates"),
        (lambda: Prune(0.5, schedule=WRONG), "schedule"),
        (lambda: Cluster(1), "num_clusters"),
        (lambda: Cluster(4, initializer=WRONG), "initializer"),
    ],
    ids=["one", "negative", "initial", "order", "updates", "schedule", "clusters", "initializer"],
)
def test_refused_values(make, field):
    with pytest.raises(InvalidValueError, match=f"`{field}` must be"):
        make()


@pytest.mark.parametrize("num_steps", [1, 2, 7, 100, 1013])
def test_last_mask_of_a_schedule_falls_within_training(num_steps):
    begin, end, frequency = Prune(0.9, begin=0.1, end=0.6).steps(num_steps)
    assert 0 <= begin <= end < num_steps
    assert (end - begin) % frequency == 0


def test_polynomial_schedule_rises_while_training(seeded):
    model = two_layers()
    seen = []
    transform = Prune(0.75, begin=0.0, end=1.0)
    attachment: Any = transform.attach(select(model, transform), {}, 20, model=model)
    trained = Reparametrized(model, [attachment], [attachment])
    trained.compile("adam", LOSS, jit_compile=False)  # pyright: ignore[reportArgumentType]
    x, y = data(16)
    for _ in range(20):
        trained.train_on_batch(x, y)
        seen.append(float(np.mean(attachment._masks["first/kernel"].numpy() == 0)))
    assert seen == sorted(seen)
    assert seen[0] < 0.2
    assert seen[-1] == 0.75
    assert len(set(seen)) > 8


def test_masked_weights_keep_their_value_and_get_no_gradient(seeded):
    model = two_layers()
    transform = Prune(0.5, schedule="constant", end=0.0)
    attachment: Any = transform.attach(select(model, transform), {}, 5, model=model)
    trained = Reparametrized(model, [attachment], [attachment])
    trained.compile(keras.optimizers.SGD(0.1), LOSS, jit_compile=False)  # pyright: ignore[reportArgumentType]
    before = model.get_layer("first").kernel.numpy()
    for _ in range(5):
        trained.train_on_batch(*data(16))
    masked = attachment._masks["first/kernel"].numpy() == 0
    after = model.get_layer("first").kernel.numpy()
    assert masked.mean() == 0.5
    np.testing.assert_array_equal(after[masked], before[masked])
    assert np.abs(after[~masked] - before[~masked]).max() > 1e-3


@pytest.mark.parametrize("method", ["linear", "kmeans++", "density", "random"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_initial_centroids(method, sparse):
    values = np.random.default_rng(1).normal(size=(40, 30)).astype("float32")
    if sparse:
        values[np.abs(values) < 1] = 0
    centroids = initial_centroids(values, 8, method)
    assert 1 < len(centroids) <= 8 - sparse
    assert (np.diff(centroids) > 0).all()
    assert values.min() <= centroids[0]
    assert centroids[-1] <= values.max()
    assert not sparse or 0 not in centroids


def test_clustering_fits_better_than_equal_steps():
    values = np.random.default_rng(1).normal(size=4000).astype("float32")

    def error(centroids):
        return np.square(values[:, None] - centroids).min(axis=1).mean()

    assert error(initial_centroids(values, 8, "linear")) < 0.6 * error(np.linspace(values.min(), values.max(), 8))


def test_centroids_are_trained(seeded):
    model = two_layers()
    start = initial_centroids(model.get_layer("first").kernel.numpy(), 4, "linear")
    small = compress(model, data(), [Cluster(4)], loss=LOSS, epochs=20, learning_rate=1e-2, batch_size=16)
    final = np.unique(small.get_layer("first").kernel.numpy())
    assert len(final) <= 4
    assert np.abs(np.resize(final, len(start)) - start).max() > 1e-2


def test_only_and_skip_choose_layers():
    model = two_layers()
    assert set(select(model, Prune(0.5))) == {"first/kernel", "second/kernel"}
    assert set(select(model, Prune(0.5, only=("fir*",)))) == {"first/kernel"}
    assert set(select(model, Prune(0.5, skip=("second",)))) == {"first/kernel"}
    with pytest.raises(UnknownNameError, match="'third'.*Known: first, second"):
        select(model, Prune(0.5, skip=("third",)))
    with pytest.raises(CompressionError, match="leave no weight"):
        select(model, Prune(0.5, skip=("first", "second")))


def test_only_and_skip_know_wrappers_and_models_in_a_copy_too():
    """Keras forgets the name of a wrapper in the paths of a copy."""
    inside = keras.Input((6, 4))
    tower = keras.Model(inside, keras.layers.Conv1D(4, 3, name="conv")(inside), name="tower")
    x = keras.Input((6, 4))
    both = keras.layers.Bidirectional(keras.layers.GRU(3), name="both")(tower(x))
    model = keras.Model(x, keras.layers.Dense(2, name="last")(both))
    for one in (model, copied(model)):
        names = {w.name for w in select(one, Prune(0.5, only=("both",))).values()}
        assert names == {"kernel", "recurrent_kernel"}
        assert len(select(one, Prune(0.5, skip=("both", "tower")))) == 1


def test_nested_shared_and_several_inputs_and_outputs(seeded):
    inner = two_layers()
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    left, right = inner(a), inner(b)  # shared
    model = keras.Model({"a": a, "b": b}, {"sum": keras.layers.Add()([left, right]), "left": left})
    x, y = data(32)
    batches: Any = tf.data.Dataset
    batches = batches.from_tensor_slices(({"a": x, "b": x[::-1].copy()}, {"sum": y, "left": y})).batch(16)
    small = compress(model, batches, [Prune(0.5), Cluster(3)], loss={"sum": LOSS, "left": LOSS}, epochs=2)
    for weight in small.trainable_variables:
        if weight.name == "kernel":
            assert (weight.numpy() == 0).mean() >= 0.5
            assert len(np.unique(weight.numpy())) <= 3


def test_seeds_and_moving_statistics_of_the_inner_model_go_on(seeded):
    x = keras.Input((6,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8)(x))
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Dropout(0.5)(hidden)))
    small = compress(model, data(), [Prune(0.5)], loss=LOSS, epochs=2)
    moving = next(v for v in small.non_trainable_variables if v.name == "moving_variance")
    assert np.abs(moving.numpy() - 1).max() > 1e-3


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Model(*[keras.Input((3,))] * 2), "no weight to compress"),
        (lambda: Subclassed(), "built functional or sequential"),
    ],
    ids=["no-weights", "subclassed"],
)
def test_models_that_cannot_be_compressed(model, message):
    with pytest.raises(CompressionError, match=message):
        zoo.compress(model(), data(), [zoo.Prune(0.5)], loss=LOSS)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (lambda: tf.data.Dataset.from_tensors(data(8)).repeat(), "Received: endless"),
        (lambda: tf.data.Dataset.from_tensors(data(8)).take(0), "Received: 0 batches"),
        (lambda: [1, 2, 3], "a pair"),
    ],
    ids=["endless", "empty", "list"],
)
def test_data_that_cannot_train(batches, message):
    with pytest.raises(CompressionError, match=message):
        compress(two_layers(), batches(), [Prune(0.5)], loss=LOSS)


def test_data_of_unknown_length_is_counted(seeded):
    batches = tf.data.Dataset.from_tensors(data(8)).repeat(3).filter(lambda *_: True)
    small = compress(two_layers(), batches, [Prune(0.5)], loss=LOSS, epochs=1)
    assert (small.get_layer("first").kernel.numpy() == 0).mean() >= 0.5


def test_data_that_was_told_its_length_is_read_through_once_for_all_rungs():
    readings = []

    def batches():
        readings.append(1)
        yield from [data(8)] * 3

    signature = tuple(tf.TensorSpec(array.shape, tf.as_dtype(array.dtype)) for array in data(8))
    told: Any = tf.data.Dataset.from_generator(batches, output_signature=signature)
    told = told.apply(tf.data.experimental.assert_cardinality(3))
    for _ in range(3):
        assert int(counted(told).cardinality()) == 3
    assert len(readings) == 1


def test_broken_promise_is_an_error(seeded):
    model = two_layers()
    transform = Prune(0.5)
    attachment = transform.attach(select(model, transform), {}, 5, model=model)  # no step was taken: every mask is ones
    with pytest.raises(CompressionError, match=r"first/kernel: 0.0000 zeros, 0.5 promised"):
        write_back([attachment])


def test_tfmot_leaves_the_environment_as_it_was():
    from zoo.compression import _tfmot

    _tfmot.constant_sparsity(0.5, 0, 1, 1)
    assert "TF_USE_LEGACY_KERAS" not in os.environ


def test_towers_whose_layers_have_the_same_names_are_both_compressed(seeded):
    def tower(name):
        x = keras.Input((6,))
        return keras.Model(x, keras.layers.Dense(8, name="hidden")(x), name=name)

    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    model = keras.Model([a, b], keras.layers.Dot(1)([tower("user")(a), tower("item")(b)]))
    x, y = data()
    small = compress(model, ([x, x[::-1].copy()], y[:, :1]), [Prune(0.75)], loss=LOSS, epochs=1)
    kernels = [np.asarray(weight) for weight in small.trainable_variables if weight.path == "hidden/kernel"]
    assert [round(float((kernel == 0).mean()), 2) for kernel in kernels] == [0.75, 0.75]


@pytest.mark.parametrize("initializer", ["linear", "density", "kmeans++", "random"])
def test_clustering_a_pruned_model_keeps_its_zeros(initializer, seeded):
    pruned = compress(two_layers(), data(), [Prune(0.75)], loss=LOSS, epochs=2)
    zeros = np.asarray(pruned.get_layer("first").kernel) == 0
    small = compress(pruned, data(), [Cluster(6, initializer=initializer)], loss=LOSS, epochs=8, learning_rate=0.05)
    kernel = np.asarray(small.get_layer("first").kernel)
    np.testing.assert_array_equal(kernel == 0, zeros)
    assert len(np.unique(kernel)) <= 6


def test_losses_that_layers_add_count(seeded):
    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(keras.ops.ones_like(x)) + 6.0)  # pyright: ignore[reportOptionalOperand]
            return x

    x = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.5), name="first")(x)
    model = keras.Model(x, keras.layers.Dense(2, name="second")(Penalty()(hidden)))
    inputs, targets = data()
    model.compile("sgd", LOSS)
    expected: Any = model.evaluate(inputs, targets, verbose=0)  # pyright: ignore[reportArgumentType]
    attachment = Prune(0.0).attach({"first/kernel": model.get_layer("first").kernel}, {}, 1, model=model)
    trained = Reparametrized(model, [attachment], [attachment])
    trained.compile(keras.optimizers.SGD(0.0), LOSS)
    history = trained.fit(inputs, targets, batch_size=64, verbose=0)  # pyright: ignore[reportArgumentType]
    assert expected > 7
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_order_that_would_break_a_promise_is_refused_before_any_work(seeded):
    with pytest.raises(InvalidValueError, match=r"order.*Prune, Cluster.*Received: transforms='Cluster, Prune'"):
        compress(two_layers(), data(), [Cluster(4), Prune(0.5)], loss=LOSS, epochs=1)


def test_sample_weights_are_taken(seeded):
    x, y = data()
    weights = np.zeros(len(x), "float32")
    history_free = compress(two_layers(), (x, y, weights), [Prune(0.5)], loss=LOSS, epochs=1)
    assert float((np.asarray(history_free.get_layer("first").kernel) == 0).mean()) == 0.5
    too_many: Any = (x, y, weights, weights)
    with pytest.raises(CompressionError, match="sample_weight"):
        compress(two_layers(), too_many, [Prune(0.5)], loss=LOSS, epochs=1)
