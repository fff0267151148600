"""What a call is made of.

A call is a generator (`Steps`). It yields a `Send` and is resumed with the answer (or with the `grpc.RpcError`), or a
`Pause`; it returns what the caller gets. `client` runs it on grpc's channel, `aio` on that of grpc.aio; so nothing of
the calls themselves is written twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from serving.protocol import messages as wire

__all__ = [
    "CLASSIFY",
    "METADATA",
    "METHODS",
    "MULTI_INFERENCE",
    "PREDICT",
    "REGRESS",
    "RELOAD",
    "STATUS",
    "Many",
    "Method",
    "Pause",
    "Send",
    "Steps",
]

_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """A method of the API: its path, and the messages it takes and gives."""

    path: str
    request: Any
    response: Any


PREDICT = Method(f"{_PREDICTION}/Predict", wire.PredictRequest, wire.PredictResponse)
CLASSIFY = Method(f"{_PREDICTION}/Classify", wire.ClassificationRequest, wire.ClassificationResponse)
REGRESS = Method(f"{_PREDICTION}/Regress", wire.RegressionRequest, wire.RegressionResponse)
MULTI_INFERENCE = Method(f"{_PREDICTION}/MultiInference", wire.MultiInferenceRequest, wire.MultiInferenceResponse)
METADATA = Method(f"{_PREDICTION}/GetModelMetadata", wire.GetModelMetadataRequest, wire.GetModelMetadataResponse)
STATUS = Method(f"{_MODEL}/GetModelStatus", wire.GetModelStatusRequest, wire.GetModelStatusResponse)
RELOAD = Method(f"{_MODEL}/HandleReloadConfigRequest", wire.ReloadConfigRequest, wire.ReloadConfigResponse)
METHODS = (PREDICT, CLASSIFY, REGRESS, MULTI_INFERENCE, METADATA, STATUS, RELOAD)


class Send(NamedTuple):
    """Ask the server, and go on with its answer or with the `grpc.RpcError`."""

    path: str
    request: Any
    timeout_s: float


class Pause(NamedTuple):
    """Go on after `seconds`."""

    seconds: float


Answer = TypeVar("Answer")
Steps = Generator[Send | Pause, Any, Answer]


@dataclasses.dataclass(frozen=True, slots=True)
class Many(Generic[Answer]):
    """Calls to be made with at most `in_flight` at a time, their results in order."""

    calls: Iterator[Steps[Answer]]
    in_flight: int
