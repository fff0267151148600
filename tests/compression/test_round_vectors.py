"""Rounding of what is no kernel."""

import keras
import numpy as np
import pytest

import zoo
from zoo.compression.fold_batch_norm import FoldBatchNorm
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
@pytest.mark.parametrize("kind", [RoundVectors, FoldBatchNorm])
def test_what_changes_the_whole_model_takes_no_choice_of_layers(kind, field):
    with pytest.raises(InvalidValueError, match=f"`{field}` must be left out: {kind.__name__}"):
        kind(**{field: ("conv",)})


def test_frozen_models_are_folded_and_rounded(seeded):
    before = model()
    before.trainable = False
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype("float32")
    after = zoo.compress(before, (x, np.zeros((4, 50))), [FoldBatchNorm(), RoundVectors()], loss="mean_squared_error")
    assert "norm" not in {layer.name for layer in after.layers}
    np.testing.assert_allclose(after(x), before(x), atol=0.02)
    assert not after.trainable_variables
