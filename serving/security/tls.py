"""TLS and mutual TLS for both transports, and the refusal to be reachable without."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import logging
import os
import pathlib
import ssl
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc

from serving.errors import UsageError
from serving.security.certificates import validity_of

__all__ = ["Renewal", "TLSOptions", "check_exposure", "is_loopback", "peer_identity"]

logger = logging.getLogger("serving")

WARN_DAYS = 14


@dataclasses.dataclass(frozen=True, kw_only=True)
class TLSOptions:
    """The server's certificate, and whose certificates clients must show.

    Args:
        cert: PEM file with the server's certificate, then those between it and a root.
        key: PEM file with its private key, without a passphrase.
        client_ca: PEM file with the authorities that sign clients' certificates; then every client must show one
            (mutual TLS). None asks for none.
    """

    cert: pathlib.Path
    key: pathlib.Path
    client_ca: pathlib.Path | None = None

    def check(self, now: datetime.datetime | None = None) -> None:
        """Check that the files can be read, belong together and are valid.

        Args:
            now: the time to check the certificate's validity at; the present without.

        Raises:
            UsageError: they do not; the message says how to mend it.
        """
        for name, path in (("certificate", self.cert), ("key", self.key), ("client CA", self.client_ca)):
            if path is not None:
                _check_readable(name, path)
        if b"ENCRYPTED" in self.key.read_bytes():
            raise UsageError(
                f"The key {self.key} has a passphrase, which nobody could type when the server starts. Remove it: "
                f"openssl pkey -in {self.key} -out plain.pem"
            )
        _check_validity(self.cert, now or datetime.datetime.now(datetime.UTC))
        self._context()
        if self.key.stat().st_mode & stat.S_IROTH:
            logger.warning(
                "event=key_readable path=%s reason=everyone on this machine may read it: chmod 600", self.key
            )

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except ssl.SSLError as error:
            mismatch = "KEY_VALUES_MISMATCH" in (error.reason or "")
            reason = "they do not belong together" if mismatch else f"one of them is no PEM file ({error.reason})"
            raise UsageError(
                f"The certificate {self.cert} and the key {self.key} cannot be used: {reason}. The server's own "
                f"certificate must come first in its file. Compare: openssl x509 -in {self.cert} -noout -pubkey; "
                f"openssl pkey -in {self.key} -pubout."
            ) from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                raise UsageError(f"The client CA {self.client_ca} holds no certificate in PEM form.") from error
        return context

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Credentials for `grpc.Server.add_secure_port`, which take a renewed certificate without a restart.

        Raises:
            UsageError: as `check`.
        """
        self.check()
        renewal = Renewal(self)

        def renewed() -> Any:
            return self._grpc_configuration() if renewal.due() else None

        return grpc.dynamic_ssl_server_credentials(
            self._grpc_configuration(),
            renewed,
            require_client_authentication=self.client_ca is not None,
        )

    def _grpc_configuration(self) -> Any:
        root = self.client_ca.read_bytes() if self.client_ca is not None else None
        return grpc.ssl_server_certificate_configuration([(self.key.read_bytes(), self.cert.read_bytes())], root)

    def uvicorn_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `uvicorn.Config`.

        Raises:
            UsageError: as `check`.
        """
        self.check()
        arguments: dict[str, Any] = {"ssl_certfile": str(self.cert), "ssl_keyfile": str(self.key)}
        if self.client_ca is not None:
            arguments |= {"ssl_ca_certs": str(self.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return arguments

    def renew(self, context: ssl.SSLContext) -> None:
        """Load certificate and key into a context in use: connections made from now on see them."""
        context.load_cert_chain(self.cert, self.key)


class Renewal:
    """Tells when the files have changed to others that can be used. Safe from many threads.

    Args:
        tls: the files.
    """

    def __init__(self, tls: TLSOptions):
        self._tls = tls
        self._lock = threading.Lock()
        self._seen = self._fingerprint()

    def due(self) -> bool:
        """Whether the files have changed since the last call, and are good; bad ones are logged once.

        Certificate and key are seldom replaced in one step: in between they do not match, and the old ones stay.
        """
        with self._lock:
            fingerprint = self._fingerprint()
            if fingerprint == self._seen:
                return False
            self._seen = fingerprint
            try:
                self._tls.check()
            except (UsageError, OSError) as error:
                logger.error("event=certificate_kept reason=%s", error)
                return False
            logger.info("event=certificate_renewed path=%s", self._tls.cert)
            return True

    def _fingerprint(self) -> tuple[tuple[int, ...], ...]:
        files = (self._tls.cert, self._tls.key, self._tls.client_ca)
        return tuple(_stamp(path) for path in files if path is not None)


def _stamp(path: pathlib.Path) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _check_readable(name: str, path: pathlib.Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UsageError(
            f"The {name} file {path} cannot be read: {error.strerror}. Give a PEM file that the server's user may read."
        ) from error


def _check_validity(path: pathlib.Path, now: datetime.datetime) -> None:
    try:
        validity = validity_of(path.read_text(encoding="ascii", errors="replace"))
    except ValueError as error:
        raise UsageError(f"{path} holds no certificate in PEM form: {error}.") from error
    if now >= validity.ends:
        raise UsageError(f"The certificate {path} expired on {validity.ends:%Y-%m-%d %H:%M} UTC. Renew it.")
    if now < validity.begins:
        raise UsageError(
            f"The certificate {path} is valid from {validity.begins:%Y-%m-%d %H:%M} UTC on; here it is "
            f"{now:%Y-%m-%d %H:%M} UTC. Set this machine's clock, or wait."
        )
    days = (validity.ends - now).days
    if days < WARN_DAYS:
        logger.warning("event=certificate_expires path=%s days=%d", path, days)


def peer_identity(auth_context: Callable[[], Mapping[str, Sequence[bytes]]]) -> str:
    """The common name of a gRPC client's checked certificate; "" without one.

    Args:
        auth_context: of `grpc.ServicerContext`.
    """
    names = auth_context().get("x509_common_name") or [b""]
    return names[0].decode(errors="replace")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "[::1]", "localhost", "unix:/run/s", "0.0.0.0", "example.org")]
        [True, True, True, True, False, False]
    """
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, tls: TLSOptions | None, allow_insecure: bool) -> None:
    """Refuse to listen where others reach the server in clear text, unless that is asked for.

    Args:
        host: the address to bind.
        tls: the server's certificate, if any.
        allow_insecure: clear text is meant, as behind a proxy that ends TLS.

    Raises:
        UsageError: neither of the two is given and `host` is not this machine's own.
    """
    if tls is None and not allow_insecure and not is_loopback(host):
        raise UsageError(
            f"Refusing to listen on {host} without TLS: whoever is on the way could read and change requests, answers "
            f"and tokens. Give a certificate (`--tls-cert FILE --tls-key FILE`); or `--allow-insecure`, where a proxy "
            f"in front ends TLS or the network is closed; or listen on 127.0.0.1."
        )
