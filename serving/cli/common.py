"""Options and output that several commands share, and how a command reaches its server."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from serving.errors import UsageError

if TYPE_CHECKING:
    from serving.client.client import Client

__all__ = [
    "ServerAddress",
    "as_json_option",
    "asks_a_server",
    "debug_option",
    "label_option",
    "name_argument",
    "print_json",
    "signature_option",
    "timeout_option",
    "version_option",
]

DEFAULT_TIMEOUT_S = 10.0

_file = click.Path(path_type=pathlib.Path, dir_okay=False)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
name_argument = click.argument("name")
debug_option = click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
version_option = click.option("--version", type=click.IntRange(min=0), help="The version; the newest without.")
label_option = click.option("--label", help="A version's label, in place of --version.")
signature_option = click.option("--signature", default="serving_default", show_default=True)
timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.001), default=DEFAULT_TIMEOUT_S, show_default=True,
    help="Seconds to wait for an answer.",
)  # fmt: skip

_CONNECTION_OPTIONS = (
    click.argument("address", metavar="HOST:PORT"),
    click.option("--tls", is_flag=True, help="Encrypt, and trust gRPC's own list of CAs."),
    click.option("--ca", type=_file, help="Encrypt, and trust the CA certificates of this file (PEM)."),
    click.option("--cert", type=_file, help="Certificate of the client (PEM), for mutual TLS."),
    click.option("--key", type=_file, help="Private key of the client (PEM)."),
    click.option("--server-name", help="Name in the server's certificate where it is not HOST."),
    click.option(
        "--token", envvar="SERVING_TOKEN", show_envvar=True, help="Token; others on this machine can read it here."
    ),
    click.option("--token-file", type=_file, help="File with the token."),
    click.option("--allow-insecure-token", is_flag=True, help="Send the token without TLS to another machine, too."),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerAddress:
    """The server that a command asks, as its options name it.

    Args:
        address: HOST:PORT.
        tls: encrypt, also without `ca`.
        ca: trusted CA certificates.
        cert: certificate of the client.
        key: its private key.
        server_name: the name in the server's certificate.
        token: sent with each request.
        token_file: file that holds the token, in place of `token`.
        allow_insecure_token: send it without TLS to another machine, too.
    """

    address: str
    tls: bool = False
    ca: pathlib.Path | None = None
    cert: pathlib.Path | None = None
    key: pathlib.Path | None = None
    server_name: str | None = None
    token: str | None = None
    token_file: pathlib.Path | None = None
    allow_insecure_token: bool = False

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of `serving.Client`, which can travel to another process.

        Raises:
            UsageError: the token's file cannot be read, or a certificate comes without its key.
        """
        from serving.client.connection import TLS

        options: dict[str, Any] = {}
        if self.tls or self.ca or self.cert or self.key or self.server_name:
            options["tls"] = TLS(ca=self.ca, cert=self.cert, key=self.key, server_name=self.server_name)
        if self.token is not None or self.token_file is not None:
            options["token"] = self.token if self.token_file is None else _read_token(self.token_file)
            options["allow_insecure_token"] = self.allow_insecure_token
        return options

    def connect(self) -> Client:
        """A client of the server; errors as of `serving.Client`."""
        from serving.client.client import Client

        return Client(self.address, **self.client_options())


def _read_token(path: pathlib.Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`--token-file {path}` cannot be read: {error}.") from error
    if not token or len(token.split()) != 1:
        raise UsageError(f"`--token-file {path}` must hold one token. Received: {len(token.split())} words.")
    return token


def asks_a_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument HOST:PORT and the options of a connection, as one argument `server`."""
    names = [field.name for field in dataclasses.fields(ServerAddress)]

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in names}
        typed = click.get_current_context().get_parameter_source("token") is ParameterSource.COMMANDLINE
        if typed and given["token_file"] is not None:
            raise click.UsageError("Give `--token` or `--token-file`, not both.")
        return command(server=ServerAddress(**given), **arguments)

    for option in reversed(_CONNECTION_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def print_json(document: Any) -> None:
    """Print `document` on one line; NaN and infinities are refused, for JSON lacks them."""
    click.echo(json.dumps(document, allow_nan=False))
