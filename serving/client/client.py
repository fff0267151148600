"""A client for TensorFlow Serving's gRPC API, numpy in and out, without TensorFlow."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import numpy as np
from numpy.typing import ArrayLike

from serving.errors import InvalidInputError, RequestError, UnsupportedError, UsageError, error_for
from serving.protocol import messages as wire
from serving.protocol.casting import cast_input
from serving.protocol.codec import CodecError, decode_tensor, dtype_of_number, encode_content
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["Client", "ModelMetadata", "VersionState"]

DEFAULT_SIGNATURE = "serving_default"
DEFAULT_TIMEOUT_S = 10.0
_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"
_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}

Signatures = Mapping[str, Signature]
ModelKey = tuple[str, int | None, str | None]  # name, version, label


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


class Client:
    """A connection to one server. Threads may share it; close it, or use it in a `with` block.

    Inputs given as numpy arrays of the signature's dtype are sent as they are. Anything else (a list, a float64 array)
    is converted to the signature's dtype when that loses nothing, for which the signature is asked for once per model
    and version; otherwise `InvalidInputError` is raised and nothing is sent (`protocol.casting`). After a refusal
    that a newer version with another signature may explain, the signature is asked for again, and if it changed, so is
    the model, once.

    Args:
        address: "host:port".
        max_message_bytes: largest answer accepted.

    Raises:
        UsageError: `address` is not of that form.

    Example:
        >>> import serving
        >>> client = serving.Client("localhost:8500")  # connects on the first call
        >>> client.close()
        >>> with serving.Client("localhost:8500") as client:  # doctest: +SKIP
        ...     client.predict("digits", image=images)["probabilities"]
    """

    def __init__(self, address: str, *, max_message_bytes: int = 256 << 20):
        host, _, port = address.rpartition(":")
        bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not host or bare_ipv6 or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(
                f"`address` must be HOST:PORT with a port from 1 to 65535, and an IPv6 HOST in brackets. "
                f"Received: {address!r}."
            )
        self.address = address
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        self._channel = grpc.insecure_channel(address, options=options)
        self._predict = self._method(_PREDICTION, "Predict", wire.PredictRequest, wire.PredictResponse)
        self._metadata = self._method(
            _PREDICTION, "GetModelMetadata", wire.GetModelMetadataRequest, wire.GetModelMetadataResponse
        )
        self._status = self._method(_MODEL, "GetModelStatus", wire.GetModelStatusRequest, wire.GetModelStatusResponse)
        self._signatures: dict[ModelKey, Signatures] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls after this raise `ValueError`."""
        self._channel.close()

    def predict(
        self,
        name: str,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        output_filter: Iterable[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        inputs: Mapping[str, ArrayLike] | None = None,
        **named_inputs: ArrayLike,
    ) -> dict[str, np.ndarray]:
        """Ask a model.

        Args:
            name: the model.
            version: its version; the newest without.
            label: a version's label, in place of `version`.
            signature: the signature to call; `serving_default` without.
            output_filter: the outputs wanted; all without.
            timeout_s: seconds to wait.
            inputs: inputs by name, for names that are arguments of this function (`version`, `timeout_s`, ...).
            **named_inputs: the other inputs by name.

        Returns:
            Arrays by output name; strings are arrays of `bytes` objects.

        Raises:
            RequestError: one of its kinds; `code` tells which.
        """
        given = {**(inputs or {}), **named_inputs}
        if inputs and (twice := set(inputs) & set(named_inputs)):
            raise UsageError(f"Each input must be given once. Received in `inputs` and by name: {min(twice)}.")
        deadline = time.monotonic() + timeout_s
        request = wire.PredictRequest(output_filter=output_filter)
        _fill_spec(request.model_spec, name, version, label)
        if signature:
            request.model_spec.signature_name = signature
        key = (name, version, label)
        cached = self._signatures.get(key)
        signatures = cached if cached is not None else self._ask_signatures(key, deadline)
        try:
            return self._send(request, signatures, given, deadline)
        except InvalidInputError:
            if cached is None:
                raise
            fresh = self._ask_signatures_again(key, deadline)
            if fresh is None or fresh == cached:
                raise
        return self._send(request, fresh, given, deadline)

    def _send(
        self, request: Any, signatures: Signatures, given: Mapping[str, ArrayLike], deadline: float
    ) -> dict[str, np.ndarray]:
        signature = signatures.get(request.model_spec.signature_name or DEFAULT_SIGNATURE)
        specs = signature.inputs if signature else {}
        request.inputs.clear()
        for key, value in given.items():
            _encode(key, cast_input(specs[key], value) if key in specs else np.asarray(value), request.inputs[key])
        response = self._call(self._predict, request, max(deadline - time.monotonic(), 0.0))
        return {key: _decode(key, proto) for key, proto in response.outputs.items()}

    def metadata(
        self,
        name: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> ModelMetadata:
        """The signatures of a version; arguments and errors as for `predict`."""
        request = wire.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill_spec(request.model_spec, name, version, label)
        response = self._call(self._metadata, request, timeout_s)
        definitions = wire.SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
        return ModelMetadata(
            name=name,
            version=response.model_spec.version.value,
            signatures={
                key: Signature(key=key, inputs=_specs(definition.inputs), outputs=_specs(definition.outputs))
                for key, definition in sorted(definitions.items())
                if not key.startswith("__saved_model")
            },
        )

    def status(
        self, name: str, *, version: int | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> list[VersionState]:
        """The state of each version (or of one), newest first; arguments and errors as for `predict`."""
        request = wire.GetModelStatusRequest()
        _fill_spec(request.model_spec, name, version, None)
        return [
            VersionState(
                version=one.version,
                state=_STATES.get(one.state, str(one.state)),
                error_code=_CODES.get(one.status.error_code, str(one.status.error_code)),
                error_message=one.status.error_message,
            )
            for one in self._call(self._status, request, timeout_s).model_version_status
        ]

    def _method(self, service: str, method: str, request: Any, response: Any) -> Any:
        return self._channel.unary_unary(
            f"{service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._error(error, timeout_s) from None
        except ValueError as error:  # grpc's answer to a call on a closed channel
            raise UsageError(f"The client of {self.address} is closed; open a new one.") from error

    def _error(self, error: Any, timeout_s: float) -> RequestError:
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            hint = f"(No answer from {self.address}. Is a server running there? Start one: serving serve ROOT)"
        elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
            hint = f"(No answer from {self.address} in time; raise `timeout_s`, or send a smaller batch.)"
        elif code is grpc.StatusCode.NOT_FOUND:
            hint = f"(`serving status {self.address} NAME` shows the versions of a model.)"
        else:
            hint = ""
        return error_for(code, details, hint)

    def _ask_signatures(self, key: ModelKey, deadline: float) -> Signatures:
        """The signatures of a model, kept; none where the server has no metadata."""
        name, version, label = key
        try:
            timeout_s = max(deadline - time.monotonic(), 0.0)
            signatures = self.metadata(name, version=version, label=label, timeout_s=timeout_s).signatures
        except UnsupportedError:
            signatures = {}
        self._signatures[key] = signatures
        return signatures

    def _ask_signatures_again(self, key: ModelKey, deadline: float) -> Signatures | None:
        """The signatures as they are now; None where the server does not tell."""
        self._signatures.pop(key, None)
        try:
            return self._ask_signatures(key, deadline)
        except RequestError:
            return None


def _fill_spec(spec: Any, name: str, version: int | None, label: str | None) -> None:
    if version is not None and label is not None:
        raise UsageError(f"Give `version` or `label`, not both. Received: version={version}, label={label!r}.")
    spec.SetInParent()
    spec.name = name
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label


def _encode(key: str, array: np.ndarray, proto: Any) -> None:
    try:
        encode_content(array, proto)
    except CodecError as error:
        raise InvalidInputError(f"Input `{key}` cannot be sent: {error}") from error


def _decode(key: str, proto: Any) -> np.ndarray:
    try:
        array = decode_tensor(proto)
    except CodecError as error:
        raise RequestError(grpc.StatusCode.DATA_LOSS, f"Output `{key}` cannot be read: {error}") from error
    return array if array.flags.writeable else array.copy()


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
