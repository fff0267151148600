"""A client that has seen one version and meets another with a different signature."""

import concurrent.futures
from typing import Any

import grpc
import numpy as np
import pytest

from serving import Client
from serving.errors import InvalidInputError
from serving.protocol import messages as wire
from serving.protocol.codec import decode_tensor, encode_values

FLOAT, UINT8 = 1, 4


class FakeModel(grpc.GenericRpcHandler):
    """Answers its input `x`, of one dtype at a time, and counts what it is asked."""

    def __init__(self):
        self.dtype = FLOAT
        self.asked: list[str] = []

    def service(self, handler_call_details: Any) -> Any:
        return {
            "/tensorflow.serving.PredictionService/Predict": grpc.unary_unary_rpc_method_handler(
                self.predict, wire.PredictRequest.FromString, wire.PredictResponse.SerializeToString
            ),
            "/tensorflow.serving.PredictionService/GetModelMetadata": grpc.unary_unary_rpc_method_handler(
                self.metadata,
                wire.GetModelMetadataRequest.FromString,
                wire.GetModelMetadataResponse.SerializeToString,
            ),
        }[handler_call_details.method]

    def metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.asked.append("metadata")
        signatures = wire.SignatureDefMap()
        info = signatures.signature_def["serving_default"].inputs["x"]
        info.dtype = self.dtype
        info.tensor_shape.dim.add(size=-1)
        response = wire.GetModelMetadataResponse()
        response.metadata["signature_def"].value = signatures.SerializeToString()
        return response

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.asked.append("predict")
        array = decode_tensor(request.inputs["x"])
        if request.inputs["x"].dtype != self.dtype or array[0] == 13:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Expects arg[0] to be another")
        response = wire.PredictResponse()
        encode_values(array, response.outputs["x"])
        return response


@pytest.fixture
def model():
    return FakeModel()


@pytest.fixture
def client(model):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((model,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}") as opened:
        yield opened
    server.stop(0).wait()


def test_a_refusal_by_the_server_makes_the_client_look_again(client, model):
    assert client.predict("m", x=[1, 2])["x"].dtype == np.float32
    model.dtype = UINT8
    model.asked.clear()
    assert client.predict("m", x=[1, 2])["x"].dtype == np.uint8
    assert model.asked == ["predict", "metadata", "predict"]


def test_a_local_refusal_makes_the_client_look_again(client, model):
    model.dtype = UINT8
    client.predict("m", x=[1])
    model.dtype = FLOAT
    model.asked.clear()
    assert client.predict("m", x=[0.5])["x"].tolist() == [0.5]
    assert model.asked == ["metadata", "predict"]


def test_a_request_is_not_repeated_where_the_signature_is_the_same(client, model):
    client.predict("m", x=[1])
    model.asked.clear()
    with pytest.raises(InvalidInputError):
        client.predict("m", x=[13])
    assert model.asked == ["predict", "metadata"]


def test_a_refusal_with_a_signature_just_read_is_final(client, model):
    with pytest.raises(InvalidInputError):
        client.predict("m", x=[13])
    assert model.asked == ["metadata", "predict"]
