"""What every registered feature states of itself is true: what it reads and writes, and whether it is random."""

import descriptors
import numpy as np
import pytest
from voice import voiced

from zoo.features.base import compose, inputs_needed

each = pytest.mark.parametrize("name", descriptors.FEATURES)


def tensors_for(feature):
    random = np.random.default_rng(0)
    tensors = {
        "image": random.integers(1, 255, (6, 12, 12, 1)).astype("uint8"),
        "label": np.array([0, 1, 2, 2, 1, 0]),
        "other": random.normal(size=(6, 3)).astype("float32"),
        "text": np.array([b"one", b"two", b"three", b"four", b"five", b"six"], object),
    }
    if "waveform" in feature.reads():
        tensors["waveform"] = voiced(6 * 90).reshape(6, 90)
    else:
        tensors["frames"] = random.normal(2.0, 3.0, size=(6, 15, 2)).astype("float32")
    length = tensors["waveform" if "waveform" in tensors else "frames"].shape[1]
    return tensors | {"padding_mask": np.arange(length) < random.integers(length // 2, length, size=(6, 1))}


def as_numpy(tensors):
    return {name: np.asarray(value) for name, value in tensors.items()}


def same(one, other):
    return one.dtype == other.dtype and np.array_equal(one, other)


@each
def test_it_changes_what_it_writes_and_nothing_else(name):
    feature = descriptors.FEATURES[name]
    before = tensors_for(feature)
    kept = {key: value.copy() for key, value in before.items()}
    after = as_numpy(compose([feature])(before, training=True))
    changed = {key for key, value in after.items() if key not in before or not same(value, before[key])}
    assert changed == set(feature.writes())
    assert before.keys() - after.keys() <= set(feature.reads())
    assert all(same(before[key], kept[key]) for key in kept)


@each
def test_it_needs_what_it_reads(name):
    feature = descriptors.FEATURES[name]
    for key in feature.reads():
        tensors = tensors_for(feature)
        del tensors[key]
        with pytest.raises(KeyError, match=key):
            compose([feature])(tensors, training=True)
    read = {key: value for key, value in tensors_for(feature).items() if key in feature.reads()}
    assert set(compose([feature])(read, training=True)) >= set(feature.writes()) - {"padding_mask"}


@each
def test_random_means_in_training_only(name):
    feature = descriptors.FEATURES[name]
    tensors = tensors_for(feature)
    trained, answered = (as_numpy(compose([feature])(tensors, training=training)) for training in (True, False))
    if feature.RANDOM:
        assert all(same(answered[key], value) for key, value in tensors.items())
        assert compose([feature])({"nothing": np.zeros(2)}).keys() == {"nothing"}
        assert inputs_needed([feature], feature.writes()) == set(feature.writes())
    else:
        assert all(same(answered[key], value) for key, value in trained.items())
        assert inputs_needed([feature], feature.writes()) == set(feature.reads())


def spec_of(key, value):
    import tensorflow as tf

    sizes = (None, *value.shape[2:]) if key in ("waveform", "frames", "padding_mask") else value.shape[1:]
    return tf.TensorSpec((None, *sizes), tf.string if value.dtype == object else tf.as_dtype(value.dtype))


@each
def test_it_is_the_same_in_a_graph_of_unknown_lengths(name):
    import tensorflow as tf

    feature = descriptors.FEATURES[name]
    tensors = tensors_for(feature)
    batch = {key: spec_of(key, value) for key, value in tensors.items()}
    for training in (True, False):
        apply = compose([feature])
        run = tf.function(
            lambda given, apply=apply, training=training: apply(given, training=training), autograph=False
        )
        concrete = run.get_concrete_function(batch)
        expected = as_numpy(apply(tensors, training=training))
        got = as_numpy(run({key: tf.constant(value) for key, value in tensors.items()}))
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            assert got[key].dtype == value.dtype
            if value.dtype.kind == "f":
                np.testing.assert_allclose(got[key], value, atol=1e-4)
            else:
                np.testing.assert_array_equal(got[key], value)
            known = concrete.structured_outputs[key].shape
            assert known.rank == value.ndim
            assert value.ndim < 3 or known[-1] == value.shape[-1]  # models are built for it


def test_inputs_needed_go_back_through_the_features():
    sound, normal = descriptors.FEATURES["mfcc"], descriptors.FEATURES["utterance_normalization"]
    assert inputs_needed([sound, normal], ["frames", "padding_mask"]) == {"waveform"}
    assert inputs_needed([normal], ["frames", "image"]) == {"frames", "image"}
    mixed = [descriptors.FEATURES["mixup"], descriptors.FEATURES["image_scaling"]]
    assert inputs_needed(mixed, ["image"]) == {"image"}
