# pyright: reportAttributeAccessIssue=false
"""The signature `classify`: what it takes, that it answers what `serving_default` answers, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2

import zoo
from serving.api.examples import classify
from serving.engines.tensorflow import TensorFlowPredictor
from serving.errors import InvalidInputError
from serving.options import Limits
from zoo.errors import ExportError, InvalidValueError, UnknownNameError
from zoo.exporting.example_signature import parsed, to_examples
from zoo.exporting.signature import InputSpec
from zoo.tasks.classification import Classification
from zoo.tasks.transcription import Transcription

FORMS = ["plain", "packed"]
LABELS = ["zero", "eins", "zwölf"]
IMAGE = InputSpec("image", (None, 6, 6, 1), "uint8")


def classifier():
    image = keras.Input((6, 6, 1), name="image", dtype="uint8")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model({"image": image}, {"logits": keras.layers.Dense(3)(keras.layers.Flatten()(x))})


@pytest.fixture(scope="module", params=FORMS)
def published(request, tmp_path_factory):
    """`classifier()` in each form with the signature."""
    root = tmp_path_factory.mktemp(request.param)
    given = {"form": request.param, "label_names": LABELS, "signatures": ["classify"]}
    return zoo.export(classifier(), root, name="m", **given)


@pytest.fixture(scope="module")
def predictor(published):
    loaded = TensorFlowPredictor(published.path)
    yield loaded
    loaded.close()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 6, 1)).astype("uint8")


def strings(examples):
    return np.array(examples, object)


def test_tensorflows_own_loader_answers_as_serving_default(published, images):
    signatures = tf.saved_model.load(str(published.path)).signatures
    served = signatures["classify"](inputs=tf.constant(to_examples([IMAGE], {"image": images})))
    expected = signatures["serving_default"](image=tf.constant(images))
    np.testing.assert_allclose(served["scores"], expected["probabilities"], rtol=1e-6)
    assert served["classes"].numpy().tolist() == [[label.encode() for label in LABELS]] * 5
    best = np.argmax(served["scores"], 1)
    np.testing.assert_array_equal(served["classes"].numpy()[range(5), best], expected["label"])


def test_the_server_classifies_with_it(predictor, images):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.signature_name = "classify"
    for image in images:
        example = request.input.example_list.examples.add()
        example.features.feature["image"].int64_list.value.extend(image.ravel().tolist())
    response = classification_pb2.ClassificationResponse()
    classify(predictor, request, response, limits=Limits())
    expected = predictor.run("serving_default", [images])["probabilities"]
    rows = response.result.classifications
    np.testing.assert_allclose([[one.score for one in row.classes] for row in rows], expected, rtol=1e-6)
    assert [[one.label for one in row.classes] for row in rows] == [LABELS] * 5


def test_the_manifest_and_the_method(published):
    signature = published.manifest["signatures"]["classify"]
    assert signature == {
        "inputs": {"inputs": {"dtype": "string", "shape": [None]}},
        "outputs": {
            "classes": {"dtype": "string", "shape": [None, 3]},
            "scores": {"dtype": "float32", "shape": [None, 3]},
        },
    }
    assert "ParseExampleV2" in published.manifest["ops"]


def test_a_packed_one_names_its_method(tmp_path):
    path = zoo.export(classifier(), tmp_path, name="m", form="packed", signatures=["classify"]).path
    loaded = TensorFlowPredictor(path)
    methods = {key: definition.method_name for key, definition in loaded.signature_defs.items()}
    loaded.close()
    assert methods == {"classify": "tensorflow/serving/classify", "serving_default": "tensorflow/serving/predict"}


ROW = np.zeros((1, 6, 6, 1), int)
GOOD = to_examples([IMAGE], {"image": ROW})
MALFORMED = {
    "scalar": (np.array(GOOD[0], object), "reduction dimension|Received shape"),
    "matrix": (strings(GOOD)[None], "scalar or vector"),
    "no rows": (strings([]), "no axis empty"),
    "no features": (strings([b""]), "is required but could not be found"),
    "garbage": (strings([b"garbage"]), "Could not parse example input"),
    "one value short": (strings(to_examples([IMAGE], {"image": ROW[:, :, :5]})), "Number of int64 values != expected"),
    "floats": (
        strings(to_examples([InputSpec("image", IMAGE.shape, "float32")], {"image": ROW})),
        "Data types don't match",
    ),
    "above 255": (strings(to_examples([IMAGE], {"image": ROW + 256})), "`image` holds a value that uint8 cannot"),
    "negative": (strings(to_examples([IMAGE], {"image": ROW - 1})), "`image` holds a value that uint8 cannot"),
    "second of two": (strings([*GOOD, b""]), "is required but could not be found"),
}


@pytest.mark.parametrize(("examples", "text"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_examples_are_refused_and_the_model_lives_on(predictor, examples, text):
    with pytest.raises(InvalidInputError, match=text):
        predictor.run("classify", [examples])
    assert predictor.run("classify", [strings(GOOD)])["scores"].shape == (1, 3)


@pytest.mark.parametrize("shape", [(2, 6, 6), (1, 5, 6, 1), (), (0, 6, 6, 1)], ids=str)
def test_serving_default_beside_it_checks_as_before(predictor, shape):
    with pytest.raises(InvalidInputError, match="`image` must be uint8 of shape"):
        predictor.run("serving_default", [np.zeros(shape, "uint8")])


# A float_list that claims 2 GB and more ends the process where its length is free.
CLAIMS = b"\x0a\x15\x0a\x13\x0a\x05image\x12\x0a\x12\x08\x0a%s\x00\x00"


def test_a_claim_of_gigabytes_ends_nothing(tmp_path):
    image = keras.Input((6, 6, 1), name="image")
    model = keras.Model({"image": image}, {"logits": keras.layers.Dense(3)(keras.layers.Flatten()(image))})
    loaded = TensorFlowPredictor(zoo.export(model, tmp_path, name="m", form="packed", signatures=["classify"]).path)
    for length in (b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x08", b"\xd3\x89\xed\x98\x0f"):
        with pytest.raises(InvalidInputError, match="Could not parse example input"):
            loaded.run("classify", [strings([CLAIMS % length])])
    loaded.close()


DTYPES = ["float32", "float16", "float64", "bfloat16", "int8", "int32", "int64", "uint8", "uint16", "bool", "string"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(None,), (None, 2), (None, 2, 1)], ids=str)
def test_every_dtype_comes_back_from_an_example(dtype, shape):
    spec = InputSpec("x", shape, dtype)
    numbers = np.arange(3 if len(shape) == 1 else 6).reshape([3, *shape[1:]])
    if dtype == "string":
        array = np.array([b"%d" % number for number in numbers.flat], object).reshape(numbers.shape)
    else:
        array = tf.cast(numbers % 3 == 0 if dtype == "bool" else numbers, dtype).numpy()
    back = parsed([spec], tf.constant(to_examples([spec], {"x": array})))["x"]
    assert back.dtype == tf.as_dtype(dtype)
    assert back.numpy().tolist() == array.tolist()


def test_it_is_written_on_request_only_and_takes_few_bytes(tmp_path):
    model = classifier()
    without = zoo.export(model, tmp_path, name="m", form="packed", label_names=LABELS).manifest
    assert list(without["signatures"]) == ["serving_default"]
    assert "ParseExampleV2" not in without["ops"]
    given = zoo.export(model, tmp_path, name="m", form="packed", label_names=LABELS, signatures=["classify"]).manifest
    assert without["bytes"] < given["bytes"] < without["bytes"] + 1400


def sequence_classifier():
    frames, mask = keras.Input((None, 3), name="frames"), keras.Input((None,), name="padding_mask", dtype="bool")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(4)(frames), mask=mask)
    return keras.Model({"frames": frames, "padding_mask": mask}, {"logits": keras.layers.Dense(3)(pooled)})


def scores_per_frame():
    frames = keras.Input((5, 4), name="frames")
    return keras.Model({"frames": frames}, {"logits": keras.layers.Dense(3)(frames)})


def embedding():
    x = keras.Input((4,), name="x")
    return keras.Model({"x": x}, {"vector": keras.layers.Dense(3)(x)})


def transcriber():
    frames = keras.Input((5, 4), name="frames")
    return keras.Model({"frames": frames}, {"logits": keras.layers.Dense(29)(frames)})


REFUSED = {
    "another name": (classifier, {"signatures": ["clasify"]}, UnknownNameError, "Did you mean 'classify'"),
    "litert": (classifier, {"form": "litert"}, InvalidValueError, "left out for the form 'litert'"),
    "no task": (embedding, {}, InvalidValueError, "left out where the answer is no score for each class"),
    "another task": (transcriber, {"task": Transcription()}, InvalidValueError, "no score for each class"),
    "free length": (sequence_classifier, {}, ExportError, r"Received: `frames` \[None, None, 3\]"),
    "scores per frame": (scores_per_frame, {"task": Classification()}, ExportError, r"shape \[None, 5, 3\]"),
}


@pytest.mark.parametrize(("build", "given", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_refused_before_anything_is_published(tmp_path, build, given, error, text):
    with pytest.raises(error, match=text):
        zoo.export(build(), tmp_path, name="m", **{"signatures": ("classify",), **given})
    assert list(tmp_path.iterdir()) == []


def test_one_that_answers_otherwise_is_not_published(tmp_path, monkeypatch):
    def reversed_examples(specs, arrays):
        return to_examples(specs, arrays)[::-1]

    monkeypatch.setattr("zoo.exporting.verify.to_examples", reversed_examples)
    with pytest.raises(ExportError, match="the signature 'classify' answers otherwise"):
        zoo.export(classifier(), tmp_path, name="m", signatures=("classify",))
    assert list(tmp_path.iterdir()) == []
