"""The packed form: every kind of tensor in every coding back bit for bit, in a graph of few bytes."""

import dataclasses
import time
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.compression import encoding
from zoo.compression.encoding import CODINGS, coded, coding_options
from zoo.exporting.packing.decoding import Packed, shaped
from zoo.exporting.packing.deflate import deflated
from zoo.exporting.packing.store import Store

RANDOM = np.random.default_rng(0)


def plain(shape=(7, 9)):
    return RANDOM.normal(size=shape).astype("float32")


def shared(shape=(40, 30), zeros=0.0, values=15):
    book = RANDOM.normal(size=values).astype("float32")
    array = RANDOM.choice(book, shape)
    array[RANDOM.random(shape) < zeros] = 0
    return array


def scaled(shape=(33, 20), axes=(0,), bits=8, zeros=0.0):
    most = 2 ** (bits - 1) - 1
    scales = RANDOM.uniform(1e-3, 1e-2, [1 if axis in axes else size for axis, size in enumerate(shape)])
    steps = RANDOM.integers(-most, most + 1, shape)
    steps[RANDOM.random(shape) < zeros] = 0
    return np.float32(steps) * np.float32(scales)


def books(shape=(60, 24), axes=(1,), values=12, zeros=0.0):
    """Returns values of their own for each entry of the last axes or the first."""
    channels = int(np.prod([shape[axis] for axis in axes]))
    table = np.sort(RANDOM.normal(size=(channels, values)).astype("float32"), axis=1)
    sizes = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    array = table[np.arange(channels).reshape(sizes), RANDOM.integers(0, values, shape)]
    array[RANDOM.random(shape) < zeros] = 0
    return array


SPECIAL = RANDOM.choice(np.array([-0.0, 0.0, 1e-42, np.inf, np.nan, 3.5], "float32"), size=(40, 30))
ARRAYS = {
    "floats": plain(),
    "special": SPECIAL,
    "empty": np.zeros(0, "float32"),
    "scalar": np.array(2.5, "float32"),
    "zeros": np.zeros((5, 600), "float32"),
    "one": np.ones((300,), "float32"),
    "shared": shared(),
    "sparse": shared(zeros=0.7),
    "very-sparse": shared((300, 200), zeros=0.99),
    "binary": np.sign(plain((30, 50))),
    "256-values": shared((100, 90), values=256),
    "257-values": shared((100, 90), values=257),
    "int8-last-axis": scaled(),
    "int8-first-axis": scaled((50, 16), axes=(1,)),
    "int8-two-axes": scaled((24, 4, 6), axes=(0,)),
    "int8-one-scale": scaled((24, 30), axes=(0, 1)),
    "int8-sparse": scaled((300, 200), zeros=0.98),
    "books-last-axis": books(),
    "books-first-axis": books((30, 90), axes=(0,)),
    "books-two-axes": books((60, 5, 6), axes=(1, 2)),
    "books-sparse": books((100, 40), zeros=0.9),
    "books-special": np.where(RANDOM.random((80, 30)) < 0.2, np.float32(-0.0), books((80, 30))),
    "int4-kernel": scaled((3, 3, 8, 16), axes=(0, 1, 2), bits=4),
}


def returned(tensors):
    """Runs the decoding operations as a loader does."""
    with tf.Graph().as_default() as graph:
        packed = Packed(tensors)
        decoded = packed.decode(tf.constant(packed.blob))
        values = [shaped(value, tensor.shape) for value, tensor in zip(decoded, tensors, strict=True)]
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run(values)


def same(array, other):
    assert np.asarray(other).shape == array.shape
    assert np.asarray(other).tobytes() == array.tobytes()


@pytest.mark.parametrize("size", [5_000, 300_000])  # with Zopfli, and beyond what it is used for
def test_streams_are_each_compressed_in_their_shortest_way(size):
    random = np.random.default_rng(0)
    codes = np.clip(np.rint(random.normal(0, 2.5, size)), -7, 7).astype("int8").tobytes()
    text = (b"a sentence that comes again and again; " * size)[:size]
    blob, order = deflated([text, codes, b""])
    assert zlib.decompress(blob) == b"".join([text, codes, b""][i] for i in order)
    entropy_bytes = size * 3.36 / 8
    assert len(blob) < 1.05 * entropy_bytes + 400
    assert len(zlib.compress(codes + text, 9)) > 1.02 * len(blob)


@pytest.mark.parametrize("name", ARRAYS)
def test_each_tensor_comes_back_bit_for_bit_by_itself(name):
    same(ARRAYS[name], returned([coded(ARRAYS[name])])[0])


@pytest.mark.parametrize("coding", [None, *CODINGS])
def test_all_together_in_one_coding_or_mixed(coding):
    tensors = [coded(array) for array in ARRAYS.values()]
    options = coding_options(tensors)
    assert len({tuple(tensor.coding for tensor in option) for option in options}) == len(options) > 3
    tensors = options[-1] if coding is None else [dataclasses.replace(t, coding=coding) for t in tensors]
    for array, value in zip(ARRAYS.values(), returned(tensors), strict=True):
        same(array, value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("floats", "floats"),
        ("257-values", "floats"),
        ("256-values", "codebook"),
        ("sparse", "codebook"),
        ("books-last-axis", "books"),
        ("books-first-axis", "books"),
        ("books-two-axes", "books"),
        ("books-sparse", "books"),
        ("books-special", "books"),
        ("int8-last-axis", "scaled"),
        ("int8-first-axis", "scaled"),
        ("int8-two-axes", "scaled"),
        ("int4-kernel", "scaled"),
    ],
)
def test_what_a_tensor_is_shows_in_its_values(name, kind):
    assert coded(ARRAYS[name]).kind == kind


def test_codings_follow_the_share_of_zeros():
    codings = {share: coded(shared((400, 300), zeros=share)).coding for share in (0.0, 0.6, 0.98)}
    assert codings == {0.0: "bytes", 0.6: "mask", 0.98: "gaps"}


@pytest.mark.parametrize(("share", "values"), [(0.5, 15), (0.9, 15), (0.97, 15), (0.99, 3)])
def test_size_is_near_the_entropy(share, values):
    array = shared((500, 400), zeros=share, values=values)
    counts = np.unique(array, return_counts=True)[1] / array.size
    entropy_bytes = -(counts * np.log2(counts)).sum() * array.size / 8
    assert len(Packed([coded(array)]).blob) < 1.08 * entropy_bytes + 150


def test_gaps_above_255_are_bridged():
    codes = np.zeros(3000, np.uint8)
    codes[[0, 255, 511, 1276, 2999]] = [1, 2, 3, 4, 5]
    gaps, values = encoding.streams_of(codes, "gaps")
    places = np.cumsum(gaps.astype(int)) - 1
    assert dict(zip(places[values > 0], values[values > 0], strict=True)) == {0: 1, 255: 2, 511: 3, 1276: 4, 2999: 5}


def test_store_holds_types_of_every_kind():
    arrays = [
        plain((100, 100)),
        plain((3,)),
        np.arange(6, dtype="int32").reshape(2, 3),
        np.arange(300, dtype="int64"),
        np.arange(2**32 - 100, 2**32, dtype="uint32"),
        np.arange(2**64 - 100, 2**64 - 1, dtype="uint64"),
        RANDOM.normal(size=(20, 20)).astype("float16"),
        np.array([True, False]),
        np.array(1.5, "float32"),
    ]
    with tf.Graph().as_default() as graph:
        store = Store(arrays)
        fill, values = store.fill(), store.read()
    with tf.compat.v1.Session(graph=graph) as session:
        session.run(fill)
        for array, value in zip(arrays, session.run(values), strict=True):
            same(array, value)


def lenet5():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            keras.layers.Conv2D(20, 5, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(50, 5, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(500, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def test_graph_of_lenet5_takes_under_10_kb(tmp_path, seeded):
    model = lenet5()
    for weight in model.trainable_variables:
        if weight.name == "kernel":
            weight.assign(shared(weight.shape, zeros=0.95))
    path = zoo.export(model, tmp_path, name="m", form="packed").path
    blob = len(Packed.of([np.asarray(weight) for weight in model.weights]).blob)
    total = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert 10_000 < blob < total < blob + 10_000


@pytest.mark.slow
def test_loading_takes_under_a_second_per_100_mb(tmp_path):
    x = keras.Input((2500,), name="x")
    model = keras.Model(x, keras.layers.Dense(10_000, name="y")(x))
    packed = {}
    for name, make in {"floats": plain, "int8": scaled, "sparse": lambda shape: shared(shape, zeros=0.9)}.items():
        model.get_layer("y").kernel.assign(make((2500, 10_000)))
        packed[name] = zoo.export(model, tmp_path, name=name, form="packed").path
    for name, path in packed.items():
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            tf.saved_model.load(str(path))
            seconds.append(time.perf_counter() - start)
        assert min(seconds) < 1, (name, seconds)


def test_two_packed_versions_in_one_process_do_not_share_weights(tmp_path):
    first, second = classifier(), classifier()
    paths = [zoo.export(model, tmp_path, name="m", form="packed").path for model in (first, second)]
    x = np.random.default_rng(0).uniform(size=(3, 6, 6, 1)).astype("float32")
    loaded = [tf.saved_model.load(str(path)) for path in paths]
    for model, one in zip((first, second), loaded, strict=True):
        served = one.signatures["serving_default"](image=tf.constant(x))["probabilities"]
        np.testing.assert_allclose(served, tf.nn.softmax(model({"image": x})["logits"]), atol=1e-6)


def test_packed_is_small_where_values_are_few(tmp_path):
    x = keras.Input((300,), name="x")
    model = keras.Model(x, keras.layers.Dense(300, name="y")(x))
    kernel = model.get_layer("y").kernel
    values = np.random.default_rng(0).choice(np.array([-1, 0, 0, 0, 0, 0, 0, 1], "float32"), size=(300, 300))
    kernel.assign(values)
    plain = zoo.export(model, tmp_path, name="m").manifest["bytes"]
    packed = zoo.export(model, tmp_path, name="m", form="packed").manifest["bytes"]
    assert packed < plain / 6


def classifier():
    image = keras.Input((6, 6, 1), name="image")
    return keras.Model({"image": image}, {"logits": keras.layers.Dense(3)(keras.layers.Flatten()(image))})
