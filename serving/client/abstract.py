"""What the two clients have in common: how they are opened."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from serving.client.calls import Calls
from serving.client.connection import TLS, Connection
from serving.client.retries import Retries
from serving.client.steps import METHODS
from serving.errors import UsageError

__all__ = ["AbstractClient"]

DEFAULT_MAX_MESSAGE_BYTES = 256 << 20


class AbstractClient(abc.ABC):
    """A connection to one server, or to the replicas behind one name.

    Inputs given as numpy arrays of the signature's dtype are sent as they are. Anything else (a list, a float64 array)
    is converted to the signature's dtype when that loses nothing, for which the signature is asked for once per model
    and version; otherwise `InvalidInputError` is raised and nothing is sent (`protocol.casting`). After a refusal
    that a newer version with another signature may explain, the signature is asked for again, and if it changed, so is
    the model, once.

    Args:
        address: "host:port".
        tls: encrypts, and tells which servers are trusted; unencrypted without.
        token: sent with each request as `authorization: Bearer ...`; a function is asked for it each time.
        allow_insecure_token: send the token without TLS to another machine, too.
        retries: when a request is sent again.
        load_balancing: "pick_first", or "round_robin" over all addresses of the host's name (a headless service).
        max_message_bytes: largest answer accepted, and largest array made of one.

    Raises:
        UsageError: `address` is not of that form, a file of `tls` cannot be read, or a token would travel unencrypted.
    """

    _transport: ClassVar[Any]  # the module `grpc` or `grpc.aio`

    def __init__(
        self,
        address: str,
        *,
        tls: TLS | None = None,
        token: str | Callable[[], str] | None = None,
        allow_insecure_token: bool = False,
        retries: Retries | None = None,
        load_balancing: Literal["pick_first", "round_robin"] = "pick_first",
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ):
        self._connection = Connection(
            address=address,
            tls=tls,
            token=token,
            allow_insecure_token=allow_insecure_token,
            load_balancing=load_balancing,
            max_message_bytes=max_message_bytes,
        )
        self.address = address
        self._calls = Calls(address, retries or Retries(), max_message_bytes)
        self._channel = self._connection.open(self._transport)
        self._methods = {method.path: self._channel.unary_unary(method.path) for method in METHODS}  # bytes to bytes

    def _closed_error(self) -> UsageError:
        return UsageError(f"The client of {self.address} is closed; open a new one.")
