# pyright: reportAttributeAccessIssue=false
"""The published messages of tensorflow-serving-api that the server speaks. Importing this imports TensorFlow.

Generated modules build their classes at run time, which a type checker cannot see; this is the one place that knows.
"""

from __future__ import annotations

from typing import Any

from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

__all__ = [
    "MODEL_SERVICE",
    "PREDICTION_SERVICE",
    "SERVICE_NAMES",
    "ClassificationRequest",
    "ClassificationResponse",
    "GetModelMetadataRequest",
    "GetModelMetadataResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
    "ModelServerConfig",
    "MultiInferenceRequest",
    "MultiInferenceResponse",
    "PredictRequest",
    "PredictResponse",
    "PredictionLog",
    "RegressionRequest",
    "RegressionResponse",
    "ReloadConfigRequest",
    "ReloadConfigResponse",
    "SignatureDefMap",
]

PredictRequest: Any = predict_pb2.PredictRequest
PredictResponse: Any = predict_pb2.PredictResponse
ClassificationRequest: Any = classification_pb2.ClassificationRequest
ClassificationResponse: Any = classification_pb2.ClassificationResponse
RegressionRequest: Any = regression_pb2.RegressionRequest
RegressionResponse: Any = regression_pb2.RegressionResponse
MultiInferenceRequest: Any = inference_pb2.MultiInferenceRequest
MultiInferenceResponse: Any = inference_pb2.MultiInferenceResponse
PredictionLog: Any = prediction_log_pb2.PredictionLog
GetModelMetadataRequest: Any = get_model_metadata_pb2.GetModelMetadataRequest
GetModelMetadataResponse: Any = get_model_metadata_pb2.GetModelMetadataResponse
SignatureDefMap: Any = get_model_metadata_pb2.SignatureDefMap
GetModelStatusRequest: Any = get_model_status_pb2.GetModelStatusRequest
GetModelStatusResponse: Any = get_model_status_pb2.GetModelStatusResponse
ReloadConfigRequest: Any = model_management_pb2.ReloadConfigRequest
ReloadConfigResponse: Any = model_management_pb2.ReloadConfigResponse
ModelServerConfig: Any = model_server_config_pb2.ModelServerConfig

PREDICTION_SERVICE: Any = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
MODEL_SERVICE: Any = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
SERVICE_NAMES = (PREDICTION_SERVICE.full_name, MODEL_SERVICE.full_name)
