"""The table of a model's weights: what each was, what is left of it, and what that costs."""

import keras
import numpy as np
import pytest

import zoo
from zoo.compression.encoding import coded, estimated_bytes
from zoo.exporting.weight_table import by_layer, weight_table


def model(width=6, *, norm=True):
    """Two dense layers, the first of `width` channels, and a normalisation between them."""
    inputs = keras.Input([8], name="frames")
    hidden = keras.layers.Dense(width, name="hidden")(inputs)
    if norm:
        hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))


def row(rows, path):
    (found,) = [row for row in rows if f"{row.layer}/{row.weight}" == path]
    return found


def test_row_tells_what_the_packed_form_writes(seeded):
    small = model(400)
    kernel = np.zeros([8, 400], "float32")
    kernel[:2] = np.random.default_rng(0).choice(np.array([0.5, -0.25], "float32"), (2, 400))
    small.get_layer("hidden").kernel.assign(kernel)
    found = row(weight_table(small), "hidden/kernel")
    assert (found.shape, found.shape_before, found.size) == ((8, 400), (8, 400), 3200)
    assert (found.zeros, found.sparsity, found.distinct_values, found.bits) == (2400, 0.75, 3, 2)
    assert found.bytes_before == 3200 * 4
    assert found.bytes_after == estimated_bytes(coded(kernel)) < 400


def test_every_weight_stands_there_once_also_what_does_not_train(seeded):
    rows = weight_table(model())
    paths = [f"{found.layer}/{found.weight}" for found in rows]
    assert len(paths) == len(set(paths)) == 8
    assert {"norm/moving_mean", "norm/moving_variance"} <= set(paths)
    assert sum(found.size for found in rows) == model().count_params()
    assert [found.layer for found in by_layer(rows)] == ["hidden", "norm", "logits"]


def test_removed_channels_and_folded_layers_count_as_what_they_were(seeded):
    rows = weight_table(model(4, norm=False), model(6))
    found = row(rows, "hidden/kernel")
    assert (found.shape, found.shape_before) == ((8, 4), (8, 6))
    assert (found.bytes_before, found.size) == (8 * 6 * 4, 8 * 4)
    gone = row(rows, "norm/gamma")
    assert (gone.shape, gone.shape_before, gone.bytes_before, gone.bytes_after) == (None, (6,), 24, 0)
    assert gone.sparsity == 0
    assert sum(found.bytes_before for found in rows) == 4 * model(6).count_params()
    assert [found.layer for found in by_layer(rows)] == ["hidden", "logits", "norm"]


def test_new_tensor_has_no_bytes_before(seeded):
    found = row(weight_table(model(), model(norm=False)), "norm/gamma")
    assert (found.shape, found.shape_before, found.bytes_before) == ((6,), None, 0)
    assert found.bytes_after > 0


def test_integers_count_as_they_stand(seeded):
    class Numbered(keras.layers.Layer):
        def build(self, input_shape):
            self.numbers = self.add_weight(name="numbers", shape=(5,), dtype="int64", trainable=False)

        def call(self, inputs):
            return inputs

    inputs = keras.Input([8])
    found = row(weight_table(keras.Model(inputs, Numbered(name="numbered")(inputs))), "numbered/numbers")
    assert (found.bits, found.bytes_after) == (64, 40)


def test_layers_of_one_name_stay_apart(seeded):
    inner = [keras.Sequential([keras.Input([8]), keras.layers.Dense(2, name="same")], name=f"t{n}") for n in (1, 2)]
    inputs = keras.Input([8])
    rows = weight_table(keras.Model(inputs, [tower(inputs) for tower in inner]))
    assert len(rows) == 4
    assert len({(found.layer, found.weight) for found in rows}) == 4


@pytest.mark.slow
def test_tensors_add_up_to_the_packed_file(tmp_path):
    built = zoo.build("conv2d", preset="dense64", num_classes=10)
    published = zoo.export(built, tmp_path, name="m", form="packed")
    total = sum(found.bytes_after for found in weight_table(built))
    assert total == pytest.approx(published.manifest["bytes"], rel=0.05)
