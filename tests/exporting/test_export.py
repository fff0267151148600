"""Export: one step or nothing, versions never overwritten, weights bit for bit, manifest, refusals."""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
import hashlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import DataError, ExportError, InvalidValueError, VersionExistsError
from zoo.exporting import publish
from zoo.exporting.verify import verify


def classifier():
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, name="conv")(image))
    return keras.Model({"image": image}, {"logits": keras.layers.Dense(3, name="logits")(x)})


def test_a_sequential_model_of_a_users_own(tmp_path):
    layers = [keras.Input((6, 6, 1), name="image"), keras.layers.Flatten(), keras.layers.Dense(3, name="scores")]
    model = keras.Sequential(layers)
    image = np.random.default_rng(0).uniform(size=(2, 6, 6, 1)).astype("float32")
    published = zoo.export(model, tmp_path, name="m")
    served = tf.saved_model.load(str(published.path)).signatures["serving_default"](image=tf.constant(image))
    np.testing.assert_allclose(served["scores"], model(image), atol=1e-6)
    with pytest.raises(ExportError, match="built functional or sequential"):
        zoo.export(keras.Sequential([keras.layers.Dense(3)]), tmp_path, name="m")


def versions(folder):
    return sorted(path.name for path in folder.iterdir())


def test_versions_count_up_and_are_never_overwritten(tmp_path):
    model = classifier()
    assert zoo.export(model, tmp_path, name="m").version == 1
    assert zoo.export(model, tmp_path, name="m", version=7).version == 7
    assert zoo.export(model, tmp_path, name="m", form="packed").version == 8
    before = (tmp_path / "m" / "7" / "saved_model.pb").read_bytes()
    with pytest.raises(VersionExistsError, match=r"m/7 exists.*Published: \[1, 7, 8\]"):
        zoo.export(model, tmp_path, name="m", version=7)
    assert (tmp_path / "m" / "7" / "saved_model.pb").read_bytes() == before
    assert versions(tmp_path / "m") == ["1", "7", "8"]


def test_version_that_another_export_took_meanwhile(tmp_path):
    def write(directory, number):
        (directory / "x").write_text("mine")
        (tmp_path / "m" / str(number)).mkdir()
        (tmp_path / "m" / str(number) / "x").write_text("theirs")

    assert publish.publish(tmp_path / "m", None, write).name == "2"
    assert (tmp_path / "m" / "1" / "x").read_text() == "theirs"
    with pytest.raises(VersionExistsError):
        publish.publish(tmp_path / "m", 3, write)
    assert versions(tmp_path / "m") == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["a-b", "a b", "1x", "class", "self"])
def test_an_input_name_that_no_signature_takes_is_refused(tmp_path, name):
    x = keras.Input((3,), name=name)
    with pytest.raises(ExportError, match=f"Received: '{name}'"):
        zoo.export(keras.Model(x, keras.layers.Dense(2)(x)), tmp_path, name="m")


def test_failed_write_leaves_nothing(tmp_path):
    def write(directory, number):
        (directory / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(ExportError, match=r"No space left on device. Nothing was published"):
        publish.publish(tmp_path / "m", None, write)
    assert not (tmp_path / "m").exists()


def test_disk_full_while_exporting(tmp_path):
    """The real thing: the system refuses to write a file above 20 kB, as a full disk would."""
    code = """
import resource, signal, sys
sys.path.insert(0, %r)
from test_export import classifier
import zoo
model = classifier()
zoo.export(model, sys.argv[1], name="good")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    zoo.export(model, sys.argv[1], name="good")
except Exception as error:
    print(type(error).__name__, error)
""" % str(__import__("pathlib").Path(__file__).parent)  # noqa: UP031
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("ExportError"), done.stdout + done.stderr[-2000:]
    assert "Nothing was published" in done.stdout
    assert versions(tmp_path / "good") == ["1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "models.config"]


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "a b"], ids=repr)
def test_names_that_are_no_directory(tmp_path, name):
    with pytest.raises(InvalidValueError, match="`name` must be"):
        zoo.export(classifier(), tmp_path, name=name)
    assert not list(tmp_path.iterdir())


def test_unknown_form_and_version(tmp_path):
    with pytest.raises(InvalidValueError, match="`form` must be one of plain, packed, litert. Received: form='tiny'"):
        zoo.export(classifier(), tmp_path, name="m", form="tiny")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="`version` must be at least 1"):
        zoo.export(classifier(), tmp_path, name="m", version=0)


def test_subclassed_model_is_refused(tmp_path):
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ExportError, match="built functional or sequential"):
        zoo.export(Subclassed(), tmp_path, name="m")


def test_model_of_a_user_answers_its_outputs_by_name(tmp_path):
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b", dtype="int32")
    joined = keras.layers.Concatenate()([a, keras.layers.Embedding(5, 4)(b)[:, 0]])
    model = keras.Model(
        [a, b], [keras.layers.Dense(2, name="left")(joined), keras.layers.Dense(1, name="right")(joined)]
    )
    path = zoo.export(model, tmp_path, name="mine", form="packed").path
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    x = {"a": np.ones((2, 3), "float32"), "b": np.array([[1, 2], [3, 4]], "int32")}
    served = signature(**{name: tf.constant(value) for name, value in x.items()})
    left, right = model([x["a"], x["b"]])
    np.testing.assert_allclose(served["left"], left, atol=1e-6)
    np.testing.assert_allclose(served["right"], right, atol=1e-6)


def test_model_without_a_task_of_its_own_answers_probabilities(tmp_path):
    published = zoo.export(classifier(), tmp_path, name="m", label_names=["x", "y", "z"])
    outputs = published.manifest["signatures"]["serving_default"]["outputs"]
    assert set(outputs) == {"probabilities", "class_id", "label"}
    assert outputs["label"] == {"dtype": "string", "shape": [None]}


def test_weights_are_written_once(tmp_path):
    image = keras.Input((20,), name="x")
    model = keras.Model(image, keras.layers.Dense(10_000, name="y")(image))
    ours = zoo.export(model, tmp_path, name="m").manifest["bytes"]
    model.export(tmp_path / "keras", verbose=False)
    keras_bytes = sum(path.stat().st_size for path in (tmp_path / "keras").rglob("*") if path.is_file())
    assert ours < model.count_params() * 4 * 1.1
    assert keras_bytes > model.count_params() * 4 * 1.9


def test_manifest_covers_every_file_and_says_what_is_inside(tmp_path):
    published = zoo.export(classifier(), tmp_path, name="m")
    document = json.loads((published.path / "assets.extra" / "manifest.json").read_text())
    files = {str(p.relative_to(published.path)) for p in published.path.rglob("*") if p.is_file()}
    assert set(document["files"]) == files - {"assets.extra/manifest.json"}
    for name, entry in document["files"].items():
        content = (published.path / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert document["bytes"] == sum(path.stat().st_size for path in published.path.rglob("*") if path.is_file())
    assert "Conv2D" in document["ops"]
    assert document["tensorflow"] == tf.__version__
    assert document["measured"]["p50_ms"] > 0
    assert document["signatures"]["serving_default"]["inputs"]["image"] == {
        "dtype": "float32",
        "shape": [None, 6, 6, 1],
    }


def test_warm_up_requests_are_what_the_signature_takes(tmp_path):
    from tensorflow_serving.apis import prediction_log_pb2

    published = zoo.export(classifier(), tmp_path, name="m")
    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    path = published.path / "assets.extra" / "tf_serving_warmup_requests"
    rows = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        image = tf.make_ndarray(log.predict_log.request.inputs["image"])
        rows.append(len(image))
        assert signature(image=tf.constant(image))["class_id"].shape == len(image)
        assert log.predict_log.request.model_spec.name == "m"
    assert rows == [1, 4]


def test_savedmodel_that_answers_otherwise_is_not_published(tmp_path, monkeypatch):
    from zoo.exporting.servable import Servable

    def verify_another(servable, path, examples, **check):
        return verify(Servable(classifier(), servable.inputs, (), servable.task), path, examples, **check)

    monkeypatch.setattr("zoo.exporting.verify.verify", verify_another)
    with pytest.raises(ExportError, match="Refused to publish"):
        zoo.export(classifier(), tmp_path, name="m")
    assert not list(tmp_path.iterdir())


def test_model_with_a_nan_is_not_published(tmp_path):
    model = classifier()
    model.get_layer("conv").kernel.assign(np.full((3, 3, 1, 4), np.nan, "float32"))
    with pytest.raises(ExportError, match="Refused to publish"):
        zoo.export(model, tmp_path, name="m")


def test_examples_must_go_by_the_inputs_names(tmp_path):
    with pytest.raises(ExportError, match="must hold `image`. Received: `picture`"):
        zoo.export(classifier(), tmp_path, name="m", examples={"picture": np.zeros((1, 6, 6, 1))})


def test_single_logit_and_logits_per_frame_are_no_classification(tmp_path):
    x = keras.Input((4,), name="x")
    one = zoo.export(keras.Model({"x": x}, {"logits": keras.layers.Dense(1)(x)}), tmp_path, name="one")
    frames = keras.Input((5, 4), name="frames")
    many = zoo.export(keras.Model({"frames": frames}, {"logits": keras.layers.Dense(3)(frames)}), tmp_path, name="many")
    for published in (one, many):
        outputs = tf.saved_model.load(str(published.path)).signatures["serving_default"].structured_outputs
        assert list(outputs) == ["logits"]


def test_label_names_must_fit(tmp_path):
    for names in (("a", "b"), ("a", "b", "c", "d", "e")):
        with pytest.raises(DataError, match=f"has {len(names)} classes and the model answers 3"):
            zoo.export(classifier(), tmp_path, name="m", label_names=names)
    x = keras.Input((4,), name="x")
    plain = keras.Model({"x": x}, {"score": keras.layers.Dense(1)(x)})
    with pytest.raises(InvalidValueError, match="label_names"):
        zoo.export(plain, tmp_path, name="m", label_names=("a",))
    assert list(tmp_path.iterdir()) == []


def test_sequences_without_a_mask_between_them_may_differ_in_length(tmp_path):
    query, document = keras.Input((None, 3), name="query"), keras.Input((None, 3), name="document")
    pooled = [keras.layers.GlobalAveragePooling1D()(tensor) for tensor in (query, document)]
    model = keras.Model({"query": query, "document": document}, {"score": keras.layers.Dot(1)(pooled)})
    call = tf.saved_model.load(str(zoo.export(model, tmp_path, name="m").path)).signatures["serving_default"]
    answer = call(query=tf.ones([2, 3, 3]), document=tf.ones([2, 7, 3]))["score"]
    np.testing.assert_allclose(answer, [[3.0], [3.0]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="same batch size"):
        call(query=tf.ones([2, 3, 3]), document=tf.ones([1, 7, 3]))


def test_answers_that_are_infinite_on_both_sides_agree(tmp_path):
    x = keras.Input((4,), name="x")
    masked = keras.layers.Lambda(lambda t: tf.where(t < 0.5, -np.inf, t), output_shape=(4,))(x)
    published = zoo.export(keras.Model(x, {"scores": masked}), tmp_path, name="m")
    assert published.manifest["measured"]["max_difference"] == 0
