"""Rounding of what is no kernel."""

import keras
import numpy as np
import pytest

import zoo
from zoo.compression.round_vectors import RoundVectors
from zoo.errors import InvalidValueError


def model():
    x = keras.Input((6, 6, 1), name="x")
    y = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(40, 3, name="conv")(x))
    return keras.Model(x, keras.layers.Dense(50, name="last")(keras.layers.Flatten()(y)))


def test_vectors_keep_eight_bits_and_kernels_all_of_theirs(seeded, tmp_path):
    before = model()
    random = np.random.default_rng(0)
    before.set_weights([random.normal(size=weight.shape).astype("float32") ** 2 for weight in before.weights])
    after = RoundVectors().prepare(before)
    for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
        if old.ndim > 1:
            np.testing.assert_array_equal(new, old)
        else:
            assert not (new.view(np.uint32) & 0xFFFF).any()
            assert (new != old).any()
            np.testing.assert_allclose(new, old, rtol=2**-8)
    vectors = sum(weight.size for weight in before.get_weights() if weight.ndim == 1)
    sizes = [zoo.export(one, tmp_path, name="m", form="packed").manifest["bytes"] for one in (before, after)]
    assert sizes[0] - sizes[1] > 1.5 * vectors  # of the two bytes each that are zero now


@pytest.mark.parametrize("field", ["only", "skip"])
def test_it_takes_no_choice_of_layers(field):
    with pytest.raises(InvalidValueError, match=f"`{field}` must be left out"):
        RoundVectors(**{field: ("conv",)})
