# pyright: reportAttributeAccessIssue=false
"""Every row of the table of errors that a client of TensorFlow Serving relies on, by the published stubs.

Where TensorFlow Serving aborts (a wrong rank into a convolution) or answers in silence (27 in place of 28 pixels), ours
refuses; everything else is its code and its text.
"""

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from fake_engine import FakeEngine  # pyright: ignore[reportMissingImports]
from published_requests import about, metadata, predict, reload, tasks, tensor, with_examples
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_management_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.batching.parameters import BatchingParameters
from serving.batching.predictor import BatchingPredictor
from serving.options import ServerOptions
from serving.server import Server

Code = grpc.StatusCode
IMAGE = np.zeros((1, 28, 28, 1), np.uint8)
ONE = np.ones(1, np.float32)
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
NO_INPUTS = "input size does not match signature: 0!=1 len({}) != len({image}). Sent extra: {}. "
SHAPE = "Input `image` must have shape [?, 28, 28, 1]. Received: "

ROWS: dict[str, tuple[str, Any, Code, str]] = {
    "no spec": ("Predict", predict_pb2.PredictRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
    "empty name of metadata": (
        "GetModelMetadata",
        metadata("", "signature_def"),
        Code.INVALID_ARGUMENT,
        "ModelSpec has no name specified.",
    ),
    "empty name": ("Predict", predict(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    "unknown model": ("Predict", predict("nosuch"), Code.NOT_FOUND, "Servable not found for request: Latest(nosuch)"),
    "unknown version": (
        "Predict",
        predict("conv", version=99),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(conv, 99)",
    ),
    "version outside the policy": (
        "Predict",
        predict("double", version=2),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(double, 2)",
    ),
    "unknown model of Classify": (
        "Classify",
        with_examples(about("Classify", "nosuch"), 1.0),
        Code.NOT_FOUND,
        "Servable not found for request: Latest(nosuch)",
    ),
    "unknown version of Regress": (
        "Regress",
        with_examples(about("Regress", "examples", version=9), 1.0),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(examples, 9)",
    ),
    "unknown model of MultiInference": (
        "MultiInference",
        with_examples(tasks(("nosuch", "regress", REGRESS)), 1.0),
        Code.NOT_FOUND,
        "Servable not found for request: Latest(nosuch)",
    ),
    "unknown label": (
        "Predict",
        predict("conv", label="canary"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    ),
    "unknown label of metadata": (
        "GetModelMetadata",
        metadata("conv", "signature_def", label="canary"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    ),
    "unknown label of status": (
        "GetModelStatus",
        about("GetModelStatus", "conv", label="canary"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    ),
    "unknown signature": (
        "Predict",
        predict("conv", {"image": IMAGE}, signature="nosig"),
        Code.FAILED_PRECONDITION,
        'Serving signature key "nosig" not found.',
    ),
    "missing input": (
        "Predict",
        predict("conv"),
        Code.INVALID_ARGUMENT,
        NO_INPUTS + "Missing but required: {image}.",
    ),
    "extra input": (
        "Predict",
        predict("conv", {"image": IMAGE, "more": IMAGE}),
        Code.INVALID_ARGUMENT,
        "input size does not match signature: 2!=1 len({image,more}) != len({image}). Sent extra: {more}. "
        "Missing but required: {}.",
    ),
    "wrong dtype": (
        "Predict",
        predict("double", {"x": np.ones(1, np.int32)}),
        Code.INVALID_ARGUMENT,
        "Expects arg[0] to be float but int32 is provided",
    ),
    "bad tensor bytes": (
        "Predict",
        predict("conv", {"image": tensor(tf.uint8, 1, 28, 28, 1, tensor_content=b"\0")}),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    "negative shape": (
        "Predict",
        predict("conv", {"image": tensor(tf.uint8, -1, 28, 28, 1, tensor_content=bytes(784))}),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    "empty tensor": (
        "Predict",
        predict("conv", {"image": tensor_pb2.TensorProto()}),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    "no rank into a convolution": ("Predict", predict("conv", {"image": np.uint8(1)}), Code.INVALID_ARGUMENT, SHAPE),
    "rank 2 into a convolution": (
        "Predict",
        predict("conv", {"image": IMAGE[0, ..., 0]}),
        Code.INVALID_ARGUMENT,
        SHAPE,
    ),
    "rank 3 into a convolution": ("Predict", predict("conv", {"image": IMAGE[0]}), Code.INVALID_ARGUMENT, SHAPE),
    "rank 5 into a convolution": ("Predict", predict("conv", {"image": IMAGE[None]}), Code.INVALID_ARGUMENT, SHAPE),
    "27 in place of 28": ("Predict", predict("conv", {"image": IMAGE[:, 1:]}), Code.INVALID_ARGUMENT, SHAPE),
    "unknown output": (
        "Predict",
        predict("double", {"x": ONE}, outputs=("zzz",)),
        Code.INVALID_ARGUMENT,
        "output tensor alias not found in signature: zzz Outputs expected to be in the set {y}.",
    ),
    "status of an unknown model": (
        "GetModelStatus",
        about("GetModelStatus", "nosuch"),
        Code.NOT_FOUND,
        "Could not find any versions of model nosuch",
    ),
    "no metadata field": (
        "GetModelMetadata",
        metadata("conv"),
        Code.INVALID_ARGUMENT,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    "Classify on a predict signature": (
        "Classify",
        with_examples(about("Classify", "double"), 1.0),
        Code.INVALID_ARGUMENT,
        "No classification inputs found in SignatureDef: inputs {",
    ),
    "Regress on a predict signature": (
        "Regress",
        with_examples(about("Regress", "double"), 1.0),
        Code.INVALID_ARGUMENT,
        "No regression inputs found in SignatureDef: inputs {",
    ),
    "MultiInference on two models": (
        "MultiInference",
        with_examples(tasks(("examples", "regress", REGRESS), ("double", "classify", CLASSIFY)), 1.0),
        Code.INVALID_ARGUMENT,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    "MultiInference of one signature twice": (
        "MultiInference",
        with_examples(tasks(("examples", "regress", REGRESS), ("examples", "regress", REGRESS)), 1.0),
        Code.INVALID_ARGUMENT,
        "Duplicate evaluation of signature: regress",
    ),
    "MultiInference by another method": (
        "MultiInference",
        with_examples(tasks(("examples", "regress", "tensorflow/serving/predict")), 1.0),
        Code.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    "no examples": ("Classify", about("Classify", "examples", signature="classify"), Code.INVALID_ARGUMENT, "Input is"),
    "reload with a relative path": (
        "HandleReloadConfigRequest",
        reload(("q", "relative")),
        Code.INVALID_ARGUMENT,
        "Expected model q to have an absolute path or URI; got base_path()=relative",
    ),
    "reload that names a model twice": (
        "HandleReloadConfigRequest",
        reload(("q", "/q"), ("q", "/q")),
        Code.INVALID_ARGUMENT,
        "Illegal to list model q multiple times in config list",
    ),
    "reload without a list": (
        "HandleReloadConfigRequest",
        model_management_pb2.ReloadConfigRequest(),
        Code.INVALID_ARGUMENT,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
        "supported",
    ),
}


@pytest.mark.parametrize(("method", "request_message", "code", "text"), ROWS.values(), ids=ROWS)
def test_row(call, method, request_message, code, text):
    with pytest.raises(grpc.RpcError) as raised:
        call(method, request_message)
    assert raised.value.code() is code
    assert (raised.value.details() or "").startswith(text)
    assert call("Predict", predict("conv", {"image": IMAGE})).outputs  # the server lives, with what it served


def test_session_service_is_not_offered(conforming):
    with grpc.insecure_channel(f"127.0.0.1:{conforming.port}") as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")(b"", timeout=10)
    assert raised.value.code() is Code.UNIMPLEMENTED


def test_a_full_queue(tmp_path, publish):
    """One batch is worked on, one waits, and the next request finds no place."""
    engine = FakeEngine()
    engine.gate.clear()
    parameters = BatchingParameters(max_batch_size=1, max_enqueued_batches=1, num_batch_threads=1)
    gathered = BatchingPredictor(engine, workers=1, mergeable=frozenset({"serving_default"}), parameters=parameters)
    (tmp_path / "m").mkdir()
    publish("double", tmp_path / "m" / "1")
    options = ServerOptions(port=0, poll_seconds=0)
    server: Any = Server(tmp_path, options, loader=lambda path: gathered)  # pyright: ignore[reportArgumentType]
    server.start()
    request = predict("m", {"x": np.ones((1, 1), np.float32)})
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        waiting = [stub.Predict.future(request, timeout=30) for _ in range(6)]
        refused = [one for one in waiting if _is_refused(one)]
        engine.gate.set()
        answered = [one.result() for one in waiting if one not in refused]
    server.stop(5)
    assert len(answered) >= 1
    assert refused
    for one in refused:
        assert one.code() is Code.UNAVAILABLE
        assert one.details().startswith("The batch scheduling queue to which this task was submitted is full;")


def _is_refused(future: Any) -> bool:
    try:
        return future.exception(timeout=0.4) is not None
    except grpc.FutureTimeoutError:
        return False
