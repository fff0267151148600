"""The one place that every request passes, by either transport: who asks, may they, not too often; and a log line."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from types import TracebackType
from typing import Self

import grpc

from serving.errors import RequestError
from serving.security.access import ANONYMOUS, EVERYTHING, Caller
from serving.security.access_log import AccessLog
from serving.security.limits import Limiter, LimiterOptions, host_of
from serving.security.tokens import TokensFile

__all__ = ["Admission", "Call", "Gate", "GateOptions"]

_UNKNOWN_TOKEN = (
    "The token is not known here, was revoked, or is damaged. Ask whoever runs this server for one, and send it as "
    "`authorization: Bearer TOKEN`."
)
_NO_TOKEN = "This server asks for a token. Send it as `authorization: Bearer TOKEN`."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, before its work.

    Args:
        transport: "grpc" or "rest".
        method: "Predict", "GetModelMetadata", ...
        right: what it needs, one of `access.Right`.
        model: the model's name; "" where none is named.
        peer: the network address as the transport has it.
        request_bytes: size of the request's body.
    """

    transport: str
    method: str
    right: str
    model: str
    peer: str
    request_bytes: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What the gate checks and writes; without any, everything passes.

    Args:
        tokens: the file of hashed tokens that `serving token` writes; None lets anyone in.
        limits: per caller and for the server.
        access_log: the file to append to; "-" is standard error; None writes none.
    """

    tokens: pathlib.Path | None = None
    limits: LimiterOptions = dataclasses.field(default_factory=LimiterOptions)
    access_log: str | None = None


class Admission:
    """One admitted request: use it as a context, and set what is known when the work is done.

    Attributes:
        code: the answer's status; without, OK, or what the exception that leaves the context says.
        version: the version that answered.
        response_bytes: size of the answer's body.
    """

    __slots__ = ("_call", "_caller", "_gate", "_key", "_started", "code", "response_bytes", "version")

    def __init__(self, gate: Gate, caller: Caller, call: Call, key: str | None, started: float):
        self._gate: Gate | None = gate
        self._caller = caller
        self._call = call
        self._key = key
        self._started = started
        self.code: grpc.StatusCode | None = None
        self.version: int | None = None
        self.response_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.code is None:
            self.code = error.code if isinstance(error, RequestError) else grpc.StatusCode.INTERNAL
        self.close()

    def close(self) -> None:
        """End the request; for one that outlives a `with` block. Again is harmless."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate._finish(self)


class Gate:
    """Checks requests. Safe from many threads; never waits.

    Args:
        tokens: who may come in; None is anyone.
        limiter: how often; None is no limit.
        access_log: where a line for each request goes; None is nowhere.

    Example:
        >>> call = Call(transport="grpc", method="Predict", right="predict", model="digits", peer="ipv4:10.0.0.1:5")
        >>> gate = Gate()
        >>> with gate.admit(gate.authenticate(None), call) as admission:
        ...     admission.response_bytes = 3
    """

    def __init__(
        self,
        *,
        tokens: TokensFile | None = None,
        limiter: Limiter | None = None,
        access_log: AccessLog | None = None,
    ):
        self._tokens = tokens
        self._limiter = limiter
        self._access_log = access_log

    @classmethod
    def open(cls, options: GateOptions) -> Gate:
        """The gate of `options`.

        Raises:
            UsageError: the tokens file or the access log cannot be used.
        """
        return cls(
            tokens=TokensFile(options.tokens) if options.tokens is not None else None,
            limiter=Limiter(options.limits) if options.limits.limited else None,
            access_log=AccessLog(options.access_log) if options.access_log is not None else None,
        )

    @property
    def asks_for_tokens(self) -> bool:
        """Whether a token is looked at."""
        return self._tokens is not None

    @property
    def open_to_all(self) -> bool:
        """Whether nothing is checked, counted or logged: `admit` has then nothing to do."""
        return self._tokens is None and self._limiter is None and self._access_log is None

    @property
    def looks_at_peers(self) -> bool:
        """Whether the network address matters: for limits or the log."""
        return self._limiter is not None or self._access_log is not None

    def reopen(self) -> None:
        """Open the access log again; for SIGHUP after a rotation."""
        if self._access_log is not None:
            self._access_log.reopen()

    def authenticate(
        self, token: str | None, *, peer_identity: str = "", transport: str = "", method: str = "", peer: str = ""
    ) -> Caller:
        """Who asks; comes before the request is parsed.

        Args:
            token: of `authorization: Bearer TOKEN`; None or "" without.
            peer_identity: the common name of the client's certificate, where mutual TLS checked it.
            transport: for the access log's line of a refusal, as are `method` and `peer`.
            method: the method asked for.
            peer: the network address.

        Raises:
            RequestError: UNAUTHENTICATED.
        """
        if self._tokens is None:
            if peer_identity:
                return Caller(name=peer_identity, access=EVERYTHING)
            return ANONYMOUS
        try:
            return self._known(self._tokens, token, peer_identity)
        except RequestError as error:
            if self._access_log is not None:
                call = Call(transport=transport, method=method, right="", model="", peer=peer)
                self._access_log.write(call, caller="", code=error.code, seconds=0.0)
            raise

    def _known(self, tokens: TokensFile, token: str | None, peer_identity: str) -> Caller:
        caller = tokens.find(token) if token else tokens.find_certificate(peer_identity) if peer_identity else None
        if caller is None:
            raise RequestError(grpc.StatusCode.UNAUTHENTICATED, _UNKNOWN_TOKEN if token else _NO_TOKEN)
        return caller

    def admit(self, caller: Caller, call: Call) -> Admission:
        """Let `call` in: it is counted until the returned context ends, which must be entered or closed.

        Raises:
            RequestError: PERMISSION_DENIED without the right; RESOURCE_EXHAUSTED or UNAVAILABLE over a limit, then a
                `LimitError` that knows how long to wait.
        """
        started = time.perf_counter()
        key = None
        try:
            if not caller.access.allows(call.right, call.model):
                raise _denied(caller, call)
            if self._limiter is not None:
                key = host_of(call.peer) if caller.by_peer else f"@{caller.name}"
                self._limiter.start(key)
        except RequestError as error:
            if self._access_log is not None:
                seconds = time.perf_counter() - started
                self._access_log.write(call, caller=caller.name, code=error.code, seconds=seconds)
            raise
        return Admission(self, caller, call, key, started)

    def _finish(self, admission: Admission) -> None:
        if self._limiter is not None and admission._key is not None:
            self._limiter.finish(admission._key)
        if self._access_log is not None:
            self._access_log.write(
                admission._call,
                caller=admission._caller.name,
                code=admission.code or grpc.StatusCode.OK,
                seconds=time.perf_counter() - admission._started,
                version=admission.version,
                response_bytes=admission.response_bytes,
            )


def _denied(caller: Caller, call: Call) -> RequestError:
    """The same whether the model exists or not: who may not see it learns nothing."""
    what = f"the model {call.model!r}" if call.model else "every model"
    return RequestError(
        grpc.StatusCode.PERMISSION_DENIED,
        f"Caller {caller.name!r} lacks the right '{call.right}' on {what}. Ask whoever runs this server for a token "
        f"with it.",
    )
