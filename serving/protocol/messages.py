"""The messages of TensorFlow Serving's API that the client speaks, in a descriptor pool of their own.

Importing the published stubs imports all of TensorFlow (6 to 13 s, 559 MB). The same messages are declared here by
field number, only the fields used; unknown ones are skipped by protobuf, so a newer server does no harm. The pool is
private: nothing clashes when TensorFlow's own messages are loaded in the same process.
"""

from __future__ import annotations

from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = [
    "ClassificationRequest",
    "ClassificationResponse",
    "Example",
    "GetModelMetadataRequest",
    "GetModelMetadataResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
    "ModelServerConfig",
    "MultiInferenceRequest",
    "MultiInferenceResponse",
    "PredictRequest",
    "PredictResponse",
    "RegressionRequest",
    "RegressionResponse",
    "ReloadConfigRequest",
    "ReloadConfigResponse",
    "SignatureDefMap",
    "TensorProto",
]

_PACKAGE = "serving.protocol.messages"
_SCALARS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_MESSAGE = 11

# message -> {field: (number, type)}; a type is a scalar, a message, "*type" when repeated, "map:type" from strings.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "scomplex_val": (9, "*float"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "dcomplex_val": (12, "*double"),
        "half_val": (13, "*int32"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "map:TensorProto"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {"outputs": (1, "map:TensorProto"), "model_spec": (2, "ModelSpec")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "*string")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "map:Any")},
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "int32"), "tensor_shape": (3, "TensorShapeProto")},
    "SignatureDef": {
        "inputs": (1, "map:TensorInfo"),
        "outputs": (2, "map:TensorInfo"),
        "method_name": (3, "string"),
    },
    "SignatureDefMap": {"signature_def": (1, "map:SignatureDef")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {"version": (1, "int64"), "state": (2, "int32"), "status": (3, "StatusProto")},
    "GetModelStatusResponse": {"model_version_status": (1, "*ModelVersionStatus")},
    "BytesList": {"value": (1, "*bytes")},
    "FloatList": {"value": (1, "*float")},
    "Int64List": {"value": (1, "*int64")},
    "Feature": {"bytes_list": (1, "BytesList"), "float_list": (2, "FloatList"), "int64_list": (3, "Int64List")},
    "Features": {"feature": (1, "map:Feature")},
    "Example": {"features": (1, "Features")},
    "ExampleList": {"examples": (1, "*Example")},
    "ExampleListWithContext": {"examples": (1, "*Example"), "context": (2, "Example")},
    "Input": {"example_list": (1, "ExampleList"), "example_list_with_context": (2, "ExampleListWithContext")},
    "ClassificationRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Class": {"label": (1, "string"), "score": (2, "float")},
    "Classifications": {"classes": (1, "*Class")},
    "ClassificationResult": {"classifications": (1, "*Classifications")},
    "ClassificationResponse": {"result": (1, "ClassificationResult"), "model_spec": (2, "ModelSpec")},
    "RegressionRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Regression": {"value": (1, "float")},
    "RegressionResult": {"regressions": (1, "*Regression")},
    "RegressionResponse": {"result": (1, "RegressionResult"), "model_spec": (2, "ModelSpec")},
    "InferenceTask": {"model_spec": (1, "ModelSpec"), "method_name": (2, "string")},
    "MultiInferenceRequest": {"tasks": (1, "*InferenceTask"), "input": (2, "Input")},
    "InferenceResult": {
        "model_spec": (1, "ModelSpec"),
        "classification_result": (2, "ClassificationResult"),
        "regression_result": (3, "RegressionResult"),
    },
    "MultiInferenceResponse": {"results": (1, "*InferenceResult")},
    "Latest": {"num_versions": (1, "uint32")},
    "All": {},
    "Specific": {"versions": (1, "*int64")},
    "ServableVersionPolicy": {"latest": (100, "Latest"), "all": (101, "All"), "specific": (102, "Specific")},
    "LogCollectorConfig": {"type": (1, "string"), "filename_prefix": (2, "string")},
    "SamplingConfig": {"sampling_rate": (1, "double"), "attributes": (2, "int32")},
    "LoggingConfig": {"log_collector_config": (1, "LogCollectorConfig"), "sampling_config": (2, "SamplingConfig")},
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_platform": (4, "string"),
        "logging_config": (6, "LoggingConfig"),
        "model_version_policy": (7, "ServableVersionPolicy"),
        "version_labels": (8, "map:int64"),
    },
    "ModelConfigList": {"config": (1, "*ModelConfig")},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
    "ReloadConfigRequest": {"config": (1, "ModelServerConfig")},
    "ReloadConfigResponse": {"status": (1, "StatusProto")},
}


def _declare() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="serving/wire.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if kind.startswith("map:"):
                kind = "*" + _declare_entry(message, field, kind.removeprefix("map:"))
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _declare_entry(message: descriptor_pb2.DescriptorProto, field: str, value: str) -> str:
    entry = message.nested_type.add(name="".join(part.capitalize() for part in field.split("_")) + "Entry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, "string")
    _add_field(entry, "value", 2, value)
    return f"{message.name}.{entry.name}"


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=3 if kind.startswith("*") else 1)  # 3 repeated, 1 one
    kind = kind.removeprefix("*")
    field.type = cast(Any, _SCALARS.get(kind, _MESSAGE))
    if kind not in _SCALARS:
        field.type_name = f".{_PACKAGE}.{kind}"


_POOL = _declare()


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


ClassificationRequest = _message_class("ClassificationRequest")
ClassificationResponse = _message_class("ClassificationResponse")
Example = _message_class("Example")
GetModelMetadataRequest = _message_class("GetModelMetadataRequest")
GetModelMetadataResponse = _message_class("GetModelMetadataResponse")
GetModelStatusRequest = _message_class("GetModelStatusRequest")
GetModelStatusResponse = _message_class("GetModelStatusResponse")
ModelServerConfig = _message_class("ModelServerConfig")
MultiInferenceRequest = _message_class("MultiInferenceRequest")
MultiInferenceResponse = _message_class("MultiInferenceResponse")
PredictRequest = _message_class("PredictRequest")
PredictResponse = _message_class("PredictResponse")
RegressionRequest = _message_class("RegressionRequest")
RegressionResponse = _message_class("RegressionResponse")
ReloadConfigRequest = _message_class("ReloadConfigRequest")
ReloadConfigResponse = _message_class("ReloadConfigResponse")
SignatureDefMap = _message_class("SignatureDefMap")
TensorProto = _message_class("TensorProto")
