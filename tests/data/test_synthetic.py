from __future__ import annotations

import numpy as np
import pytest

from zoo.data import Synthetic, take_arrays
from zoo.errors import UnknownNameError, UsageError

FORMS = [
    pytest.param(Synthetic(kind="images", shape=(6, 5, 3)), id="images"),
    pytest.param(Synthetic(kind="sequences", shape=(9, 4)), id="sequences"),
]


def flat(arrays):
    (values,) = [array for name, array in arrays.items() if name in ("image", "frames")]
    return values.reshape(len(values), -1).astype(np.float64)


@pytest.mark.parametrize("source", FORMS)
def test_equal_fields_give_equal_examples(source):
    first, again = take_arrays(source, "train", 300), take_arrays(source, "train", 300)
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("source", FORMS)
def test_form_is_as_stated(source):
    spec, stated = source.load("train").element_spec, source.info().tensors
    assert {name: (tuple(tensor.shape), tensor.dtype.name) for name, tensor in spec.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in stated.items()
    }
    assert len(source.load("train")) == 256
    assert len(source.load("test[:50%]+train[:2]")) == 34


def test_seed_and_split_change_the_examples():
    source = Synthetic(kind="images", shape=(6, 5, 3))
    train, test = take_arrays(source, "train", 64), take_arrays(source, "test", 64)
    other = take_arrays(Synthetic(kind="images", shape=(6, 5, 3), seed=1), "train", 64)
    assert not np.array_equal(train["image"], test["image"])
    assert not np.array_equal(train["image"], other["image"])


def test_slices_are_parts_of_the_whole():
    source = Synthetic()
    whole = take_arrays(source, "train", 256)["image"]
    part = take_arrays(source, "train[10:20]", 256)["image"]
    assert np.array_equal(part, whole[10:20])


def test_lengths_run_from_shortest_to_longest():
    arrays = take_arrays(Synthetic(kind="sequences", shape=(9, 4), min_length=3), "train", 256)
    assert set(arrays["padding_mask"].sum(axis=1)) == set(range(3, 10))


@pytest.mark.parametrize("source", FORMS)
def test_nearest_class_mean_tells_the_classes_apart(source):
    train, test = take_arrays(source, "train", 256), take_arrays(source, "test", 64)
    means = np.stack([flat(train)[train["label"] == number].mean(axis=0) for number in range(4)])
    distances = np.linalg.norm(flat(test)[:, None] - means, axis=-1)
    assert (distances.argmin(axis=1) == test["label"]).mean() > 0.9


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"kind": "image"}, UnknownNameError, "Did you mean 'images'"),
        ({"shape": (8, 8)}, UsageError, r"3 positive numbers for kind='images'. Received: shape=\(8, 8\)"),
        ({"num_classes": 1}, UsageError, "Received: num_classes=1"),
        ({"kind": "sequences", "shape": (4, 2), "min_length": 5}, UsageError, "Received: min_length=5"),
    ],
    ids=["kind", "shape", "num_classes", "min_length"],
)
def test_wrong_fields(fields, error, message):
    with pytest.raises(error, match=message):
        Synthetic(**fields)
