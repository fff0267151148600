# pyright: reportAttributeAccessIssue=false
"""Every call but Predict through the unmodified stubs of tensorflow-serving-api."""

from typing import Any

import grpc
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    regression_pb2,
)

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("method", "message", "details"),
    [
        ("Classify", classification_pb2.ClassificationRequest(), "No classification inputs found in SignatureDef"),
        ("Regress", regression_pb2.RegressionRequest(), "No regression inputs found in SignatureDef"),
    ],
    ids=["Classify", "Regress"],
)
def test_a_predict_signature_neither_classifies_nor_regresses(stub, method, message, details):
    message.model_spec.name = "double"
    with pytest.raises(grpc.RpcError, match=details) as raised:
        getattr(stub, method)(message, timeout=10)
    assert raised.value.code() is Code.INVALID_ARGUMENT


def test_multi_inference_without_a_task(stub):
    with pytest.raises(grpc.RpcError, match="ModelSpec has no name") as raised:
        stub.MultiInference(inference_pb2.MultiInferenceRequest(), timeout=10)
    assert raised.value.code() is Code.INVALID_ARGUMENT


def metadata_request(name: str, *fields: str) -> Any:
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    message.model_spec.name = name
    return message


def test_metadata_holds_the_signature_defs(stub):
    response = stub.GetModelMetadata(metadata_request("conv", "signature_def"), timeout=10)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    image = signatures.signature_def["serving_default"].inputs["image"]
    assert image.dtype == tf.uint8.as_datatype_enum
    assert [dim.size for dim in image.tensor_shape.dim] == [-1, 28, 28, 1]
    assert response.model_spec.version.value == 2


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (get_model_metadata_pb2.GetModelMetadataRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
        (
            metadata_request("conv"),
            Code.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (metadata_request("conv", "weights"), Code.INVALID_ARGUMENT, "Metadata field weights is not supported"),
        (
            metadata_request("nosuch", "signature_def"),
            Code.NOT_FOUND,
            "Servable not found for request: Latest(nosuch)",
        ),
    ],
    ids=["no spec", "no field", "unknown field", "unknown model"],
)
def test_metadata_error(stub, message, code, text):
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetModelMetadata(message, timeout=10)
    assert (raised.value.code(), raised.value.details()) == (code, text)


def status_request(name: str, version: int | None = None) -> Any:
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = name
    if version is not None:
        message.model_spec.version.value = version
    return message


@pytest.mark.parametrize(("version", "shown"), [(None, [2, 1]), (1, [1])], ids=["all", "one"])
def test_status(models, version, shown):
    statuses = models.GetModelStatus(status_request("conv", version), timeout=10).model_version_status
    assert [status.version for status in statuses] == shown
    assert {status.state for status in statuses} == {get_model_status_pb2.ModelVersionStatus.AVAILABLE}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (status_request("nosuch"), "Could not find any versions of model nosuch"),
        (status_request("conv", 9), "Could not find version 9 of model conv"),
    ],
    ids=["model", "version"],
)
def test_status_error(models, message, text):
    with pytest.raises(grpc.RpcError) as raised:
        models.GetModelStatus(message, timeout=10)
    assert (raised.value.code(), raised.value.details()) == (Code.NOT_FOUND, text)


@pytest.mark.parametrize(
    "service", ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "conv"]
)
def test_health(channel, service):
    check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert check.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services(channel):
    services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "grpc.health.v1.Health"} <= set(
        services
    )
