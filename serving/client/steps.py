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
    """A method of the API: its path, and the message it answers."""

    path: str
    response: Any


PREDICT = Method(f"{_PREDICTION}/Predict", wire.PredictResponse)
CLASSIFY = Method(f"{_PREDICTION}/Classify", wire.ClassificationResponse)
REGRESS = Method(f"{_PREDICTION}/Regress", wire.RegressionResponse)
MULTI_INFERENCE = Method(f"{_PREDICTION}/MultiInference", wire.MultiInferenceResponse)
METADATA = Method(f"{_PREDICTION}/GetModelMetadata", wire.GetModelMetadataResponse)
STATUS = Method(f"{_MODEL}/GetModelStatus", wire.GetModelStatusResponse)
RELOAD = Method(f"{_MODEL}/HandleReloadConfigRequest", wire.ReloadConfigResponse)
METHODS = (PREDICT, CLASSIFY, REGRESS, MULTI_INFERENCE, METADATA, STATUS, RELOAD)


class Send(NamedTuple):
    """Ask the server, and go on with its answer or with the `grpc.RpcError`."""

    path: str
    request: bytes
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
