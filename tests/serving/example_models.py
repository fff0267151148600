# pyright: reportAttributeAccessIssue=false
"""SavedModels whose signatures take serialised `tf.Example`s, as TensorFlow 1 writes them and as TensorFlow 2 does.

And how to ask them: an example is a float, the feature `x`, or a `tf.train.Example`; a pair is a context and examples.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from serving.api import examples
from serving.engines.tensorflow import TensorFlowPredictor
from serving.options import Limits

v1 = tf.compat.v1

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
PREDICT = "tensorflow/serving/predict"
LIMITS = Limits()
LABELS = ["small", "große", "huge"]


def write_half_plus_two(path: pathlib.Path) -> None:
    """`y = x / 2 + 2` of the feature `x`, under signatures that share one placeholder, sound ones and faulty ones."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.disable_resource_variables()
        try:
            half = v1.get_variable("half", initializer=tf.constant(0.5))
        finally:
            v1.enable_resource_variables()
        inputs = v1.placeholder(tf.string, [None], name="tf_example")
        signatures = {key: _signature(inputs, *rest) for key, rest in _outputs(inputs, half).items()}
        x = v1.placeholder(tf.float32, [None, 1], name="x")
        signatures["serving_default"] = v1.saved_model.build_signature_def(
            {"x": _info(x)}, {"y": _info(half * x + 2.0)}, PREDICT
        )
        signatures["floats"] = v1.saved_model.build_signature_def(
            {"inputs": _info(x)}, {"outputs": _info(half * x)}, REGRESS
        )
        signatures["no_names"] = v1.saved_model.build_signature_def(
            {"inputs": _info(x)}, {"y": _info(half * x)}, REGRESS
        )
        signatures["two_inputs"] = v1.saved_model.build_signature_def(
            {"inputs": _info(inputs), "x": _info(x)}, {"scores": _info(half * x)}, CLASSIFY
        )
        sparse = v1.sparse_placeholder(tf.string, [None], name="sparse")
        signatures["sparse"] = v1.saved_model.build_signature_def(
            {"inputs": _info(sparse)}, {"outputs": _info(half * x)}, REGRESS
        )
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.builder.SavedModelBuilder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


def _outputs(inputs: tf.Tensor, half: tf.Tensor) -> dict[str, tuple[str, dict[str, tf.Tensor]]]:
    features: Any = {
        "x": tf.io.FixedLenFeature([1], tf.float32),
        "name": tf.io.FixedLenFeature([], tf.string, default_value="?"),
    }
    parsed = v1.parse_example(inputs, features)
    y = half * parsed["x"] + 2.0
    scores = tf.concat([y, y + 1.0, y + 2.0], 1)
    labels = tf.tile(tf.constant([LABELS]), tf.stack([tf.shape(y)[0], 1]))
    names = parsed["name"][:, None]
    return {
        "classify": (CLASSIFY, {"classes": labels, "scores": scores}),
        "classes": (CLASSIFY, {"classes": names}),
        "scores": (CLASSIFY, {"scores": scores}),
        "regress": (REGRESS, {"outputs": y}),
        "regress_flat": (REGRESS, {"outputs": y[:, 0] + 1.0}),
        "other_output": (CLASSIFY, {"scores": scores, "more": y}),
        "no_outputs": (CLASSIFY, {"more": y}),
        "flat_scores": (CLASSIFY, {"scores": y[:, 0]}),
        "double_scores": (CLASSIFY, {"scores": tf.cast(scores, tf.float64)}),
        "int_classes": (CLASSIFY, {"classes": tf.cast(scores, tf.int64)}),
        "one_row": (CLASSIFY, {"classes": labels[:1]}),
        "widths": (CLASSIFY, {"classes": labels[:, :2], "scores": scores}),
        "bytes": (CLASSIFY, {"classes": tf.strings.join([names, b"\xff"])}),
        "wide_values": (REGRESS, {"outputs": scores}),
        "one_value": (REGRESS, {"outputs": y[:1]}),
        "int_values": (REGRESS, {"outputs": tf.cast(y, tf.int32)}),
    }


def _signature(inputs: tf.Tensor, method: str, outputs: dict[str, tf.Tensor]) -> Any:
    return v1.saved_model.build_signature_def(
        {"inputs": _info(inputs)}, {name: _info(tensor) for name, tensor in outputs.items()}, method
    )


def _info(tensor: Any) -> Any:
    return v1.saved_model.build_tensor_info(tensor)


class Native(tf.Module):
    """As `tf.saved_model.save` writes it: each signature has the method "predict" and a placeholder of its own."""

    def __init__(self):
        super().__init__()
        self.half = tf.Variable(tf.constant(0.5))

    def _y(self, inputs):
        parsed: Any = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})
        return self.half * parsed["x"] + 2.0

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs):
        y = self._y(inputs)
        return {
            "classes": tf.tile(tf.constant([LABELS[:2]]), tf.stack([tf.shape(y)[0], 1])),
            "scores": tf.concat([y, -y], 1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(self, inputs):
        return {"outputs": self._y(inputs)}


def write_native(path: pathlib.Path) -> None:
    module = Native()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.classify, "regress": module.regress})


@contextlib.contextmanager
def loaded(write: Callable[[pathlib.Path], None], directory: pathlib.Path) -> Iterator[TensorFlowPredictor]:
    write(directory / "1")
    predictor = TensorFlowPredictor(directory / "1")
    yield predictor
    predictor.close()


def example(**features: float | int | str) -> tf.train.Example:
    made = tf.train.Example()
    for name, value in features.items():
        feature = made.features.feature[name]
        if isinstance(value, float):
            feature.float_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.bytes_list.value.append(value.encode())
    return made


def filled(request: Any, signature: str, given: Any) -> Any:
    request.model_spec.name = "m"
    request.model_spec.signature_name = signature
    put(request.input, given)
    return request


def put(target: Any, given: Any) -> None:
    if isinstance(given, tuple):
        target.example_list_with_context.context.CopyFrom(given[0])
        target.example_list_with_context.examples.extend(given[1])
    elif given is not None:
        target.example_list.examples.extend(
            one if isinstance(one, tf.train.Example) else example(x=one) for one in given
        )


def classify(predictor: Any, signature: str, given: Any, limits: Limits = LIMITS) -> list[list[tuple[str, float]]]:
    request = filled(classification_pb2.ClassificationRequest(), signature, given)
    response = classification_pb2.ClassificationResponse()
    assert examples.classify(predictor, request, response, limits=limits) == (signature or "serving_default")
    sent = classification_pb2.ClassificationResponse.FromString(response.SerializeToString())
    return [[(one.label, one.score) for one in row.classes] for row in sent.result.classifications]


def regress(predictor: Any, signature: str, given: Any) -> list[float]:
    request = filled(regression_pb2.RegressionRequest(), signature, given)
    response = regression_pb2.RegressionResponse()
    assert examples.regress(predictor, request, response, limits=LIMITS) == (signature or "serving_default")
    return [one.value for one in response.result.regressions]


def tasks(*asked: tuple[str, str], given: Any = (2.0,)) -> Any:
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in asked:
        name, _, signature = signature.rpartition("/")
        task = request.tasks.add(method_name=method)
        task.model_spec.name = name or "m"
        task.model_spec.signature_name = signature
    put(request.input, None if given is None else list(given))
    return request


def multi_inference(predictor: Any, request: Any) -> tuple[list[str], Any]:
    response = inference_pb2.MultiInferenceResponse()
    keys = examples.multi_inference(predictor, request, response, limits=LIMITS, version=7)
    return keys, response
