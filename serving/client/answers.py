"""What a client gets: numpy arrays, and small records of the other answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from serving.errors import RequestError
from serving.protocol import messages as wire
from serving.protocol.codec import CodecError, decode_tensor, dtype_of_number
from serving.protocol.signature import Signature, TensorSpec

__all__ = [
    "ClassScore",
    "Inferences",
    "ModelMetadata",
    "VersionState",
    "read_classes",
    "read_inferences",
    "read_message",
    "read_metadata",
    "read_outputs",
    "read_regressions",
    "read_states",
]

_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelMetadata:
    """One version's name, number and signatures by key."""

    name: str
    version: int
    signatures: Mapping[str, Signature]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VersionState:
    """One version's state: START, LOADING, AVAILABLE, UNLOADING or END, and why it failed if it did."""

    version: int
    state: str
    error_code: str
    error_message: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """One class of one example; a model without labels, or without scores, leaves "" or 0."""

    label: str
    score: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Inferences:
    """Answers of several signatures to the same examples.

    Args:
        classifications: by signature, for each example its classes.
        regressions: by signature, float32 `[B]`.
    """

    classifications: Mapping[str, list[list[ClassScore]]]
    regressions: Mapping[str, np.ndarray]


def read_message(kind: Any, content: bytes) -> Any:
    """The message of class `kind` in `content`.

    Raises:
        RequestError: it is malformed (`DATA_LOSS`).
    """
    try:
        return kind.FromString(content)
    except DecodeError as error:
        text = f"The answer is no {kind.DESCRIPTOR.name} and cannot be read: {error}."
        raise RequestError(grpc.StatusCode.DATA_LOSS, text) from error


def read_outputs(response: Any, *, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of a PredictResponse, the caller's own.

    Args:
        response: the message.
        max_bytes: largest array made; a few bytes can claim any size.

    Raises:
        RequestError: an output is malformed or larger (`DATA_LOSS`).
    """
    return {name: _decode(name, proto, max_bytes) for name, proto in response.outputs.items()}


def _decode(name: str, proto: Any, max_bytes: int) -> np.ndarray:
    try:
        array = decode_tensor(proto, max_bytes=max_bytes)
    except CodecError as error:
        raise RequestError(grpc.StatusCode.DATA_LOSS, f"Output `{name}` cannot be read: {error}") from error
    return array if array.flags.writeable else array.copy()


def read_metadata(name: str, response: Any) -> ModelMetadata:
    """The signatures of a GetModelMetadataResponse, without TensorFlow's own.

    Raises:
        RequestError: they are malformed (`DATA_LOSS`).
    """
    definitions = read_message(wire.SignatureDefMap, response.metadata["signature_def"].value).signature_def
    return ModelMetadata(
        name=name,
        version=response.model_spec.version.value,
        signatures={
            key: Signature(key=key, inputs=_specs(definition.inputs), outputs=_specs(definition.outputs))
            for key, definition in sorted(definitions.items())
            if not key.startswith("__saved_model")
        },
    )


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    """The dense tensors of a SignatureDef whose dtype can travel, by name."""
    specs = {}
    for name, info in sorted(infos.items()):
        try:
            dtype = dtype_of_number(info.dtype)
        except CodecError:
            continue
        shape = info.tensor_shape
        sizes = None if shape.unknown_rank else tuple(None if d.size < 0 else d.size for d in shape.dim)
        specs[name] = TensorSpec(name=name, dtype=dtype, shape=sizes)
    return specs


def read_states(response: Any) -> list[VersionState]:
    """The versions of a GetModelStatusResponse, in its order."""
    return [
        VersionState(
            version=one.version,
            state=_STATES.get(one.state, str(one.state)),
            error_code=_CODES.get(one.status.error_code, str(one.status.error_code)),
            error_message=one.status.error_message,
        )
        for one in response.model_version_status
    ]


def read_classes(result: Any) -> list[list[ClassScore]]:
    """The classes of each example of a ClassificationResult."""
    return [
        [ClassScore(label=one.label, score=one.score) for one in classification.classes]
        for classification in result.classifications
    ]


def read_regressions(result: Any) -> np.ndarray:
    """The values of a RegressionResult, float32 `[B]`."""
    return np.array([one.value for one in result.regressions], np.float32)


def read_inferences(response: Any) -> Inferences:
    """The results of a MultiInferenceResponse by signature."""
    results = [(one.model_spec.signature_name, one) for one in response.results]
    return Inferences(
        classifications={
            name: read_classes(one.classification_result)
            for name, one in results
            if one.HasField("classification_result")
        },
        regressions={
            name: read_regressions(one.regression_result) for name, one in results if one.HasField("regression_result")
        },
    )
