"""Export of layers that hold a vocabulary outside their weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import ExportError

TEXTS = np.array(["good", "film", "good film", "never seen"])


def adapted(kind, **kwargs):
    layer = kind(**kwargs)
    layer.adapt(TEXTS[:3])
    return layer


def text_model(layer):
    text = keras.Input((), dtype="string", name="text")
    ids = layer(text)
    ids = ids if len(ids.shape) == 2 else keras.ops.expand_dims(ids, 1)
    vectors = keras.layers.Embedding(64, 4)(ids)
    return keras.Model(text, keras.layers.Dense(2, name="out")(keras.layers.GlobalAveragePooling1D()(vectors)))


@pytest.mark.parametrize("form", ["plain", "packed"])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.StringLookup(vocabulary=["good", "film"]),
        lambda: adapted(keras.layers.StringLookup),
        lambda: keras.layers.TextVectorization(vocabulary=["good", "film"], output_sequence_length=3),
        lambda: adapted(keras.layers.TextVectorization, output_sequence_length=3),
        lambda: keras.layers.Hashing(64),
    ],
    ids=["lookup", "lookup-adapted", "vectorization", "vectorization-adapted", "hashing"],
)
def test_vocabularies_are_exported(tmp_path, layer, form):
    model = text_model(layer())
    published = zoo.export(model, tmp_path, name="m", form=form, examples={"text": TEXTS})
    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    expected = model(tf.constant(TEXTS)).numpy()
    np.testing.assert_allclose(signature(text=tf.constant(TEXTS))["out"], expected, atol=1e-6)
    assert len(np.unique(expected, axis=0)) > 2  # the vocabulary counts


def test_a_layer_without_its_vocabulary_is_refused(tmp_path):
    with pytest.raises(ExportError, match="Has each layer its vocabulary"):
        zoo.export(text_model(keras.layers.StringLookup()), tmp_path, name="m")
    assert not list((tmp_path / "m").glob("[0-9]*"))


@keras.saving.register_keras_serializable("tests")
class Growing(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        self.table.insert(["good"], [3])

    def call(self, text):
        return tf.ensure_shape(self.table.lookup(text), [None])

    def compute_output_spec(self, text):
        return keras.KerasTensor(text.shape, "int64")


def test_a_table_that_can_change_is_exported_with_a_checkpoint_only(tmp_path):
    model = text_model(Growing())
    published = zoo.export(model, tmp_path, name="m", form="plain", examples={"text": TEXTS})
    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    np.testing.assert_allclose(signature(text=tf.constant(TEXTS))["out"], model(tf.constant(TEXTS)), atol=1e-6)
    with pytest.raises(ExportError, match="no longer changes"):
        zoo.export(model, tmp_path, name="m", form="packed", examples={"text": TEXTS})
