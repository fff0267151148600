# pyright: reportAttributeAccessIssue=false
"""Short names for the published messages."""

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

SPECIFIED = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
}


def fill(spec: Any, name: str, signature: str = "", version: int | None = None, label: str = "") -> None:
    spec.name, spec.signature_name = name, signature
    if version is not None:
        spec.version.value = version
    if label:
        spec.version_label = label


def about(method: str, name: str, **spec: Any) -> Any:
    """A request of any method that has one ModelSpec."""
    request = SPECIFIED[method]()
    fill(request.model_spec, name, **spec)
    return request


def predict(name: str, inputs: dict[str, Any] | None = None, outputs: tuple[str, ...] = (), **spec: Any) -> Any:
    request = about("Predict", name, **spec)
    request.output_filter.extend(outputs)
    for key, value in (inputs or {}).items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        request.inputs[key].CopyFrom(proto)
    return request


def tensor(dtype: tf.DType, *shape: int, **fields: Any) -> Any:
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def with_examples(request: Any, *values: float) -> Any:
    for value in values:
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return request


def metadata(name: str, *fields: str, **spec: Any) -> Any:
    request = about("GetModelMetadata", name, **spec)
    request.metadata_field.extend(fields)
    return request


def tasks(*asked: tuple[str, str, str]) -> Any:
    """Model, signature and method of each."""
    request = inference_pb2.MultiInferenceRequest()
    for name, signature, method in asked:
        task = request.tasks.add(method_name=method)
        fill(task.model_spec, name, signature)
    return request


def reload(*models: tuple[str, str], labels: dict[str, int] | None = None) -> Any:
    """Name and base path of each; labels for the last one."""
    request = model_management_pb2.ReloadConfigRequest()
    listed = request.config.model_config_list  # an empty list is a list
    listed.SetInParent()
    for name, path in models:
        listed.config.add(name=name, base_path=path, model_platform="tensorflow")
    for label, version in (labels or {}).items():
        listed.config[-1].version_labels[label] = version
    return request
