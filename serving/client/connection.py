"""Where a client connects and how: address, TLS, token, load balancing, and the options of gRPC's channel."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, Literal

import grpc

from serving.errors import UsageError

__all__ = ["TLS", "Connection", "is_loopback"]

# Servers end a connection that is pinged more often than every 5 minutes while they are silent.
KEEPALIVE_MS = 330_000
# Of a ping, and with it (TCP_USER_TIMEOUT) of any data that the other host does not acknowledge.
KEEPALIVE_TIMEOUT_MS = 5_000
FIRST_RECONNECT_MS = 100
MAX_RECONNECT_MS = 1_000  # gRPC's own 2 minutes would hide for as long that a server is back
MIN_RESOLUTION_MS = 5_000  # between two look-ups of a name: a headless service changes when a replica is replaced
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TLS:
    """An encrypted connection, and with `cert` and `key` a client that proves who it is.

    Args:
        ca: file of the certificates (PEM) that a server's certificate must be signed by; gRPC's own list without.
        cert: file of the client's certificate chain (PEM), for a server that asks for one.
        key: file of its private key (PEM).
        server_name: the name in the server's certificate where it is not HOST.

    Raises:
        UsageError: only one of `cert` and `key` is given.
    """

    ca: str | pathlib.Path | None = None
    cert: str | pathlib.Path | None = None
    key: str | pathlib.Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError(f"Give both `cert` and `key`, or none. Received: cert={self.cert}, key={self.key}.")

    def credentials(self) -> grpc.ChannelCredentials:
        """The files, read.

        Raises:
            UsageError: a file is missing or holds no PEM.
        """
        return grpc.ssl_channel_credentials(
            _read_pem("ca", self.ca), _read_pem("key", self.key), _read_pem("cert", self.cert)
        )


def _read_pem(name: str, path: str | pathlib.Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"`{name}` of TLS cannot be read: {path}: {error.strerror}.") from error
    kind = "PRIVATE KEY" if name == "key" else "CERTIFICATE"
    if kind.encode() + b"-----" not in content:
        raise UsageError(f"`{name}` of TLS must be a PEM file with a {kind}. Received: {path}.")
    return content


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """What a client needs to know to reach its server; the arguments are those of `serving.Client`.

    Raises:
        UsageError: an address of another form, or a token that would travel unencrypted.
    """

    address: str
    tls: TLS | None
    token: str | Callable[[], str] | None
    allow_insecure_token: bool
    load_balancing: Literal["pick_first", "round_robin"]
    max_message_bytes: int

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not host or bare_ipv6 or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(
                f"`address` must be HOST:PORT with a port from 1 to 65535, and an IPv6 HOST in brackets. "
                f"Received: {self.address!r}."
            )
        if self.load_balancing not in ("pick_first", "round_robin"):
            raise UsageError(
                f"`load_balancing` must be 'pick_first' or 'round_robin'. Received: {self.load_balancing!r}."
            )
        exposed = self.token is not None and self.tls is None and not is_loopback(self.address)
        if exposed and not self.allow_insecure_token:
            raise UsageError(
                f"A token for {self.address} would travel unencrypted, for all on the way to read. Give `tls`, or "
                f"`allow_insecure_token=True` where the way is safe (a proxy on the same host, a private network)."
            )

    def open(self, transport: Any) -> Any:
        """A channel of `transport`, which is `grpc` or `grpc.aio`."""
        if self.tls is None:
            return transport.insecure_channel(self.address, options=self.options())
        return transport.secure_channel(self.address, self.tls.credentials(), options=self.options())

    def options(self) -> list[tuple[str, Any]]:
        """The channel's options."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),  # ours stay within one deadline and are told apart by code
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.initial_reconnect_backoff_ms", FIRST_RECONNECT_MS),
            ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MS),
            ("grpc.dns_min_time_between_resolutions_ms", MIN_RESOLUTION_MS),
        ]
        if self.load_balancing == "round_robin":
            options.append(("grpc.service_config", ROUND_ROBIN))
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options

    def metadata(self) -> tuple[tuple[str, str], ...] | None:
        """The headers of each request; a token that is a function is asked for anew.

        Raises:
            UsageError: the token cannot be sent.
        """
        if self.token is None:
            return None
        token = self.token if isinstance(self.token, str) else self.token()
        if not token or not (token.isascii() and token.isprintable()):
            raise UsageError(f"`token` must be printable ASCII. Received: {len(token)} characters that are not.")
        return (("authorization", f"Bearer {token}"),)


def is_loopback(address: str) -> bool:
    """Whether the host of a HOST:PORT is this machine by its loopback address.

    Example:
        >>> is_loopback("localhost:8500"), is_loopback("10.0.0.1:8500")
        (True, False)
    """
    import ipaddress

    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
