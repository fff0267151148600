"""Every call of a client, apart from the way it travels: what is sent, in which order, and what an answer means."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import numpy as np
from numpy.typing import ArrayLike

from serving.client import answers, requests, steps
from serving.client.answers import ClassScore, Inferences, ModelMetadata, VersionState
from serving.client.batching import Inputs, in_batches
from serving.client.examples import Features
from serving.client.failures import is_answer, is_final, typed_error
from serving.client.model_config import ModelConfig, server_config
from serving.client.requests import ModelKey
from serving.client.retries import Retries
from serving.client.steps import Many, Method, Pause, Send, Steps
from serving.errors import InvalidInputError, RequestError, UnsupportedError, UsageError, error_for
from serving.protocol import messages as wire
from serving.protocol.signature import DEFAULT_SIGNATURE, Signature

__all__ = ["Calls"]

DEFAULT_TIMEOUT_S = 10.0
RELOAD_TIMEOUT_S = 60.0  # the answer comes when the models are loaded
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Signatures = Mapping[str, Signature]


class Calls:
    """The calls to one server, and what is remembered between them: signatures, and whether it ever answered.

    Args:
        address: "host:port", for messages.
        retries: when a request is sent again.
        max_bytes: largest array made of an answer.
    """

    def __init__(self, address: str, retries: Retries, max_bytes: int):
        self._address = address
        self._retries = retries
        self._max_bytes = max_bytes
        self._reached = False
        self._signatures: dict[ModelKey, Signatures] = {}

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
    ) -> Steps[dict[str, np.ndarray]]:
        """Ask a model.

        Args:
            name: the model.
            version: its version; the newest without.
            label: a version's label, in place of `version`.
            signature: the signature to call; `serving_default` without.
            output_filter: the outputs wanted; all without.
            timeout_s: seconds to wait, all attempts together.
            inputs: inputs by name, for names that are arguments of this function (`version`, `timeout_s`, ...).
            **named_inputs: the other inputs by name.

        Returns:
            Arrays by output name; strings are arrays of `bytes` objects.

        Raises:
            RequestError: one of its kinds; `code` tells which.
        """
        if inputs and (twice := set(inputs) & set(named_inputs)):
            raise UsageError(f"Each input must be given once. Received in `inputs` and by name: {min(twice)}.")
        given = {**inputs, **named_inputs} if inputs else named_inputs
        deadline = _deadline(timeout_s)
        key, output_filter = (name, version, label), tuple(output_filter)

        def send(signatures: Signatures) -> Steps[dict[str, np.ndarray]]:
            found = signatures.get(signature or DEFAULT_SIGNATURE)
            request = requests.predict_request(key, signature, output_filter, found.inputs if found else {}, given)
            response = yield from self._attempts(steps.PREDICT, request, deadline)
            return answers.read_outputs(response, max_bytes=self._max_bytes)

        cached = self._signatures.get(key)
        signatures = cached if cached is not None else (yield from self._ask_signatures(key, deadline))
        try:
            return (yield from send(signatures))
        except InvalidInputError:
            if cached is None:
                raise
            fresh = yield from self._ask_signatures_again(key, deadline)
            if fresh is None or fresh == cached:
                raise
        return (yield from send(fresh))

    def predict_many(  # noqa: PLR0913 - those of `predict`, and how to cut
        self,
        name: str,
        inputs: Inputs,
        *,
        batch_size: int | None = 32,
        in_flight: int = 4,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        output_filter: Iterable[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Many[dict[str, np.ndarray]]:
        """Ask a model for a big array, or for a stream of rows, in batches, several of them on their way at a time.

        Nothing is sent before the first result is asked for, and never more than `in_flight` batches are read ahead of
        the results taken. Without `version`, batches that come after a swap are answered by the newer one.

        Args:
            name: the model.
            inputs: arrays by name, cut along their first axis; or an iterable of rows: arrays of one example by name.
            batch_size: rows in a request; None sends arrays whole, and each item of an iterable as a batch of its own.
            in_flight: how many requests are on their way at a time.
            version, label, signature, output_filter: as for `predict`.
            timeout_s: seconds to wait for each batch.

        Returns:
            An iterator (for `AsyncClient` an asynchronous one) of what `predict` returns for each batch, in order.

        Raises:
            RequestError: as `predict`; of the first batch that failed, and those behind it are cancelled.
            UsageError: inputs that cannot be cut.
        """
        if in_flight < 1:
            raise UsageError(f"`in_flight` must be at least 1. Received: in_flight={in_flight}.")
        wanted = tuple(output_filter)

        def call(batch: Mapping[str, ArrayLike]) -> Steps[dict[str, np.ndarray]]:
            return self.predict(
                name,
                version=version,
                label=label,
                signature=signature,
                output_filter=wanted,
                timeout_s=timeout_s,
                inputs=batch,
            )

        return Many(map(call, in_batches(inputs, batch_size)), in_flight)

    def classify(
        self,
        name: str,
        examples: Iterable[Features],
        *,
        context: Features | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Steps[list[list[ClassScore]]]:
        """Ask a classification signature, which takes `tf.Example` messages.

        Args:
            name: the model.
            examples: one mapping of features each: numbers, texts, lists or arrays of them.
            context: features that all examples share.
            version, label, signature, timeout_s: as for `predict`.

        Returns:
            For each example its classes with their scores.

        Raises:
            RequestError: one of its kinds; `code` tells which.
        """
        request = requests.with_spec(wire.ClassificationRequest(), (name, version, label), signature)
        requests.with_examples(request, examples, context)
        response = yield from self._send(steps.CLASSIFY, request, _deadline(timeout_s))
        return answers.read_classes(response.result)

    def regress(
        self,
        name: str,
        examples: Iterable[Features],
        *,
        context: Features | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Steps[np.ndarray]:
        """Ask a regression signature for one float32 of each example, `[B]`; arguments and errors as of `classify`."""
        request = requests.with_spec(wire.RegressionRequest(), (name, version, label), signature)
        requests.with_examples(request, examples, context)
        response = yield from self._send(steps.REGRESS, request, _deadline(timeout_s))
        return answers.read_regressions(response.result)

    def multi_inference(
        self,
        name: str,
        examples: Iterable[Features],
        *,
        classify: Iterable[str] = (),
        regress: Iterable[str] = (),
        context: Features | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Steps[Inferences]:
        """Ask the signatures `classify` and `regress` for the same examples; the rest is as of `classify`."""
        request = requests.multi_inference_request((name, version, label), classify, regress)
        requests.with_examples(request, examples, context)
        return answers.read_inferences((yield from self._send(steps.MULTI_INFERENCE, request, _deadline(timeout_s))))

    def metadata(
        self, name: str, *, version: int | None = None, label: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Steps[ModelMetadata]:
        """The signatures of a version; arguments and errors as for `predict`."""
        request = wire.GetModelMetadataRequest(metadata_field=["signature_def"])
        requests.with_spec(request, (name, version, label))
        return answers.read_metadata(name, (yield from self._send(steps.METADATA, request, _deadline(timeout_s))))

    def status(
        self, name: str, *, version: int | None = None, label: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Steps[list[VersionState]]:
        """The state of each version (or of one), newest first; arguments and errors as for `predict`."""
        request = requests.with_spec(wire.GetModelStatusRequest(), (name, version, label))
        return answers.read_states((yield from self._send(steps.STATUS, request, _deadline(timeout_s))))

    def reload(self, models: Iterable[ModelConfig] | str, *, timeout_s: float = RELOAD_TIMEOUT_S) -> Steps[None]:
        """Tell the server what to serve from now on; models that are not named are unloaded.

        Args:
            models: the models, or the text of a `models.config` file.
            timeout_s: seconds to wait until everything is loaded.

        Raises:
            UsageError: the text is no `ModelServerConfig`.
            RequestError: the server refuses; it goes on as before.
        """
        request = wire.ReloadConfigRequest(config=server_config(models))
        response = yield from self._send(steps.RELOAD, request, _deadline(timeout_s))
        self._signatures.clear()
        if response.status.error_code:
            code = _CODES.get(response.status.error_code, grpc.StatusCode.UNKNOWN)
            raise error_for(code, response.status.error_message)

    def _send(self, method: Method, request: Any, deadline: float) -> Steps[Any]:
        return self._attempts(method, request.SerializeToString(), deadline)

    def _attempts(self, method: Method, request: bytes, deadline: float) -> Steps[Any]:
        """The answer, after as many attempts as it takes and `deadline` allows."""
        sent = 0
        while True:
            try:
                answer = yield Send(method.path, request, _remaining_s(deadline))
            except grpc.RpcError as error:
                sent += 1
                self._reached |= is_answer(error)
                pause_s = None if is_final(error) else self._retries.pause_s(sent, reached=self._reached)
                if pause_s is None or time.monotonic() + pause_s >= deadline:
                    raise typed_error(error, self._address) from None
            else:
                self._reached = True
                return answers.read_message(method.response, answer)
            yield Pause(pause_s)

    def _ask_signatures(self, key: ModelKey, deadline: float) -> Steps[Signatures]:
        """The signatures of a model, kept; none where the server has no metadata."""
        name, version, label = key
        try:
            found = yield from self.metadata(name, version=version, label=label, timeout_s=_remaining_s(deadline))
        except UnsupportedError:
            signatures = {}
        else:
            signatures = found.signatures
        self._signatures[key] = signatures
        return signatures

    def _ask_signatures_again(self, key: ModelKey, deadline: float) -> Steps[Signatures | None]:
        """The signatures as they are now; None where the server does not tell."""
        self._signatures.pop(key, None)
        try:
            return (yield from self._ask_signatures(key, deadline))
        except RequestError:
            return None


def _deadline(timeout_s: float) -> float:
    return time.monotonic() + timeout_s


def _remaining_s(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)
