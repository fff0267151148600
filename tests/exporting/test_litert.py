"""LiteRT: each precision, names for TensorFlow Serving, its order of calls, refusals, and a converter that crashes."""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.tools import flatbuffer_utils

import zoo
from zoo.errors import ExportError, InvalidValueError
from zoo.exporting.litert import conversion
from zoo.exporting.litert.conversion import Converted, Order, convert
from zoo.exporting.litert.flatbuffer import read_graph
from zoo.exporting.litert.interpreter import asker, load_litert
from zoo.exporting.litert.options import TOLERANCES
from zoo.exporting.servable import Servable
from zoo.exporting.signature import specs_of_model
from zoo.exporting.verify import largest_difference, random_examples
from zoo.layers.quantization import ActivationQuantizer
from zoo.tasks.classification import Classification

NAMES = ("x", "y", "z")
FRAMES = np.random.default_rng(0).uniform(size=(16, 9, 3)).astype("float32")
IMAGES = np.random.default_rng(0).uniform(size=(24, 6, 6, 1)).astype("float32")


def classifier():
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(image)
    x = keras.layers.Dense(24, activation="relu", name="hidden")(keras.layers.Flatten()(x))
    return keras.Model({"image": image}, {"logits": keras.layers.Dense(3, name="logits")(x)})


def recurrent():
    """Two inputs of free length, an LSTM each way, a simple one in a stack of cells."""
    frames, mask = keras.Input((None, 3), name="frames"), keras.Input((None,), dtype="bool", name="padding_mask")
    both = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(frames, mask=mask)
    cells = [keras.layers.SimpleRNNCell(5), keras.layers.GRUCell(4)]
    last = keras.layers.RNN(cells, zero_output_for_mask=True)(both, mask=mask)
    return keras.Model({"frames": frames, "padding_mask": mask}, {"y": keras.layers.Dense(2)(last)})


def wide():
    frames = keras.Input((None, 3), name="frames")
    return keras.Model({"frames": frames}, {"y": keras.layers.GRU(40)(frames)})


def order(model, precisions, task=None, **more):
    specs = specs_of_model(model)
    return Order(Servable(model, specs, (), task, NAMES if task else ()), precisions, random_examples(specs), **more)


def rounded_activations():
    image = keras.Input((6, 6, 1), name="image")
    quantizer = ActivationQuantizer(name="rounded")
    x = keras.layers.Dense(3, name="logits")(quantizer(keras.layers.Flatten()(image)))
    model = keras.Model({"image": image}, {"logits": x})
    quantizer.low.assign(-0.2)
    quantizer.high.assign(0.9)
    return model


@pytest.fixture(scope="module")
def made():
    """Everything that is converted, in one process."""
    keras.utils.set_random_seed(0)
    x = keras.Input((3,), name="x")
    strange = keras.Model({"x": x}, {"y": keras.layers.Lambda(keras.ops.erfinv)(x)})
    orders = {
        "classifier": order(classifier(), list(TOLERANCES), Classification(), calibration={"image": IMAGES}),
        "recurrent": order(recurrent(), ["float32"]),
        "wide": order(wide(), ["float32", "int8"], calibration={"frames": FRAMES}),
        "rounded": order(rounded_activations(), ["float32", "int8"], calibration={"image": IMAGES}),
        "strange": order(strange, ["float32"]),
    }
    return dict(zip(orders, zip(orders.values(), convert(list(orders.values())), strict=True), strict=True))


@pytest.fixture
def converted(made, monkeypatch):
    """Lets an export take what was converted before, in place of a process of its own."""

    def take(orders):
        ((precision,),) = (one.precisions for one in orders)
        return [{precision: made["classifier"][1][precision]}]

    monkeypatch.setattr("zoo.exporting.litert.form.convert", take)
    return made["classifier"][0].servable.model


def arrays(b, t):
    generator = np.random.default_rng(b * 100 + t)
    mask = np.arange(t) < generator.integers(1, t + 1, (b, 1))
    return {"frames": generator.uniform(size=(b, t, 3)).astype("float32"), "padding_mask": mask}


@pytest.mark.parametrize("precision", TOLERANCES)
def test_each_precision_answers_nearly_as_the_model(made, precision):
    made_of, results = made["classifier"]
    for content in results[precision].chosen().values():
        assert largest_difference(made_of.servable, asker(content), {"image": IMAGES}) <= TOLERANCES[precision]
        assert read_graph(content).batch is None


def test_precisions_are_what_they_say(made):
    results = made["classifier"][1]
    floats = len(results["float32"].models[""])
    assert len(results["float16"].models[""]) < 0.7 * floats
    types = {name: tensor_types(one.models[""]) for name, one in results.items()}
    assert 9 not in types["float32"]
    assert all(9 in types[name] for name in ("dynamic", "int8"))


def tensor_types(content):
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    return {tensor.type for tensor in model.subgraphs[0].tensors}


def test_names_are_those_of_the_signature_as_tensorflow_serving_finds_them(made):
    content = made["classifier"][1]["int8"].models[""]
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    named = {kind: {graph.tensors[i].name.decode() for i in getattr(graph, kind)} for kind in ("inputs", "outputs")}
    assert named == {"inputs": {"image"}, "outputs": {"probabilities", "class_id", "label"}}
    (entry,) = [one for one in model.metadata if one.name == b"signature_defs_metadata"]
    stored = flexbuffers.GetRoot(bytearray(model.buffers[entry.buffer].data)).AsMap
    assert [key.AsKey for key in stored.Keys] == ["serving_default"]
    described = meta_graph_pb2.SignatureDef.FromString(bytes(stored.Values[0].AsStringBytes))
    assert described.method_name == "tensorflow/serving/predict"
    assert {name: info.name for name, info in described.outputs.items()} == {name: name for name in named["outputs"]}
    image = described.inputs["image"]
    assert [axis.size for axis in image.tensor_shape.dim] == [-1, 6, 6, 1]
    assert image.dtype == tf.float32.as_datatype_enum


def test_recurrent_layers_take_any_batch_and_length_one_request_after_another(made):
    made_of, results = made["recurrent"]
    (content,) = results["float32"].chosen().values()
    ask = asker(content)  # one interpreter, as a server has it
    for b, t in ((1, 4), (5, 4), (2, 9), (3, 1), (1, 7)):
        assert largest_difference(made_of.servable, ask, arrays(b, t)) <= 1e-5, (b, t)


def test_loops_in_int8_have_weights_of_8_bits(made):
    made_of, results = made["wide"]
    floats, eights = (results[precision].models[""] for precision in ("float32", "int8"))
    assert len(eights) < len(floats) - 40 * 120 * 3 * 0.7  # 3 bytes fewer of each recurrent weight, some graph more
    assert largest_difference(made_of.servable, asker(eights), {"frames": FRAMES}) <= 2e-2


def test_shapes_that_do_not_fit_are_an_error_and_the_next_request_is_answered(made):
    made_of, results = made["recurrent"]
    ask = asker(results["float32"].models[""])
    ask(arrays(2, 4))
    with pytest.raises((RuntimeError, ValueError)):
        ask({**arrays(2, 4), "padding_mask": np.ones((3, 5), bool)})
    assert largest_difference(made_of.servable, ask, arrays(2, 6)) <= 1e-5


def test_rounded_activations_stay_rounded(made):
    made_of, results = made["rounded"]
    assert largest_difference(made_of.servable, asker(results["float32"].models[""]), {"image": IMAGES}) <= 1e-4
    assert largest_difference(made_of.servable, asker(results["int8"].models[""]), {"image": IMAGES}) <= 2e-2


def test_operations_that_litert_lacks_are_named(made):
    with pytest.raises(
        ExportError, match="LiteRT has no operation, of the type used, for Erfinv.*Export as 'plain' or 'packed'"
    ):
        made["strange"][1]["float32"].chosen()


def test_tables_are_refused(tmp_path):
    word = keras.Input((), dtype="string", name="word")
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"], name="lookup")
    examples = {"word": np.array([b"a", b"b"], dtype=object)}
    with pytest.raises(ExportError, match="holds a table.*LiteRT"):
        zoo.export(keras.Model(word, lookup(word)), tmp_path, name="m", form="litert", examples=examples)
    assert not list(tmp_path.iterdir())


def test_model_alone_in_its_version(converted, tmp_path):
    published = zoo.export(converted, tmp_path, name="m", form="litert", label_names=NAMES, examples={"image": IMAGES})
    assert {path.name for path in published.path.iterdir()} == {"model.tflite", "assets.extra"}
    manifest = published.manifest
    assert (manifest["form"], manifest["precision"], manifest["batch"]) == ("litert", "float32", None)
    assert manifest["measured"]["tolerance"] == 1e-4 >= manifest["measured"]["max_difference"]
    assert manifest["measured"]["p50_ms"] > 0
    assert "CONV_2D" in manifest["ops"]
    signature = manifest["signatures"]["serving_default"]
    assert signature["inputs"] == {"image": {"dtype": "float32", "shape": [None, 6, 6, 1]}}
    assert signature["outputs"]["label"] == {"dtype": "string", "shape": [None]}
    answers = load_litert(published.path)({"image": IMAGES[:2]})
    assert answers["label"].tolist() == [NAMES[place].encode() for place in answers["class_id"]]


@pytest.mark.parametrize("beside", ["plain", "packed"])
def test_savedmodel_beside_it_answers_too(converted, tmp_path, beside):
    options = zoo.LiteRT(precision="float16", beside=beside)
    published = zoo.export(converted, tmp_path, name="m", form="litert", litert=options, label_names=NAMES)
    assert published.manifest["beside"]["form"] == beside
    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    served, lite = signature(image=tf.constant(IMAGES)), load_litert(published.path)({"image": IMAGES})
    assert set(served) == set(lite)
    np.testing.assert_allclose(lite["probabilities"], served["probabilities"], atol=1e-2)


def test_answers_beyond_the_tolerance_are_refused(converted, tmp_path):
    options = zoo.LiteRT(precision="float16", tolerance=1e-9)
    with pytest.raises(ExportError, match="`probabilities` differs by .*1e-09 is allowed. Choose a finer precision"):
        zoo.export(converted, tmp_path, name="m", form="litert", litert=options, label_names=NAMES)
    assert not list(tmp_path.iterdir())


def test_int8_takes_the_model_that_is_near_enough(made, tmp_path, monkeypatch):
    made_of, results = made["classifier"]
    monkeypatch.setattr("zoo.exporting.litert.form.largest_difference", lambda *_: float("inf"))
    monkeypatch.setattr("zoo.exporting.litert.form.convert", lambda _: [{"int8": results["int8"]}])
    options = zoo.LiteRT(precision="int8")
    published = zoo.export(
        made_of.servable.model,
        tmp_path,
        name="m",
        form="litert",
        litert=options,
        label_names=NAMES,
        calibration={"image": IMAGES},
    )
    assert published.manifest["activations"] == "int8 where they meet weights"
    assert (published.path / "model.tflite").read_bytes() == results["int8"].models["-weights"]


def test_int8_without_real_examples_is_refused(tmp_path):
    options = zoo.LiteRT(precision="int8")
    with pytest.raises(ExportError, match="from real examples.*Give `calibration=`"):
        zoo.export(classifier(), tmp_path, name="m", form="litert", litert=options)
    with pytest.raises(ExportError, match="`calibration` must hold `image`. Received: `picture`"):
        zoo.export(classifier(), tmp_path, name="m", form="litert", litert=options, calibration={"picture": IMAGES})
    assert not list(tmp_path.iterdir())


def test_a_converter_that_crashes_is_an_export_error(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_COMMAND", ("-c", "import os, sys; print('on fire', file=sys.stderr); os.abort()"))
    with pytest.raises(ExportError, match=r"ended abruptly.*Nothing was published.*on fire"):
        zoo.export(classifier(), tmp_path, name="m", form="litert")
    assert not list(tmp_path.iterdir())


def test_models_for_one_row_are_warmed_up_with_one_row(made, tmp_path, monkeypatch):
    made_of, results = made["classifier"]
    fixed = with_one_row(results["float32"].models[""])
    monkeypatch.setattr("zoo.exporting.litert.form.convert", lambda _: [{"float32": Converted({"": fixed})}])
    published = zoo.export(made_of.servable.model, tmp_path, name="m", form="litert", label_names=NAMES)
    assert published.manifest["batch"] == 1
    records = tf.data.TFRecordDataset(str(published.path / "assets.extra" / "tf_serving_warmup_requests"))
    assert len(list(records)) == 1


def with_one_row(content):
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    for index in graph.inputs:
        graph.tensors[index].shapeSignature = graph.tensors[index].shape
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def test_options_of_litert_are_for_litert(tmp_path):
    with pytest.raises(InvalidValueError, match="`litert` must be left out for the form 'plain'"):
        zoo.export(classifier(), tmp_path, name="m", litert=zoo.LiteRT())
    wrongs: list[dict[str, Any]] = [
        {"precision": "int4"},
        {"beside": "litert"},
        {"tolerance": 0.0},
        {"num_calibration": 0, "precision": "int8"},
        {"num_calibration": 5, "precision": "dynamic"},
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            zoo.LiteRT(**wrong)
