"""TensorFlow Serving's `--ssl_config_file`: a text proto with the PEM texts themselves in it."""

from __future__ import annotations

import atexit
import os
import pathlib
import shutil
import tempfile
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from serving.errors import UsageError
from serving.security.tls import TLSOptions

__all__ = ["read_ssl_config"]

_PACKAGE = "serving.security.ssl_config"
_STRING, _BOOL = 9, 8
_FIELDS = {
    "server_key": (1, _STRING),
    "server_cert": (2, _STRING),
    "custom_ca": (3, _STRING),
    "client_verify": (4, _BOOL),
}


def read_ssl_config(path: pathlib.Path) -> TLSOptions:
    """The certificate, key and client CA that the file holds, for both transports.

    They are kept in files that only this user's processes can open, and that are gone when this process ends.

    Args:
        path: an `SSLConfig` in protobuf's text form: `server_key`, `server_cert`, `custom_ca`, `client_verify`.

    Raises:
        UsageError: it cannot be read, or lacks something.
    """
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), _message_class()())
    except OSError as error:
        raise UsageError(f"The TLS configuration {path} cannot be read: {error.strerror}.") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is no SSLConfig in protobuf's text form: {error}. It may hold {', '.join(_FIELDS)}; the first "
            f"three are PEM texts with \\n for their line ends."
        ) from error
    for name in ("server_key", "server_cert"):
        if not getattr(config, name):
            raise UsageError(f"{path} lacks `{name}`: the PEM text itself, with \\n for its line ends.")
    if config.client_verify and not config.custom_ca:
        raise UsageError(f"{path}: `client_verify: true` needs `custom_ca`, the PEM text of who signs the clients.")
    return TLSOptions(
        cert=_keep("server_cert", config.server_cert),
        key=_keep("server_key", config.server_key),
        client_ca=_keep("custom_ca", config.custom_ca) if config.client_verify else None,
    )


def _message_class() -> Any:
    """`tensorflow.serving.SSLConfig`, which no wheel holds, in a descriptor pool of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="serving/ssl_config.proto", package=_PACKAGE, syntax="proto3")
    message = file.message_type.add(name="SSLConfig")
    for name, (number, kind) in _FIELDS.items():
        field: Any = message.field.add(name=name, number=number, label=1)
        field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.SSLConfig"))


def _keep(name: str, text: str) -> pathlib.Path:
    """A file with `text` in it, for the TLS libraries take certificates from files alone; in memory, where Linux is."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create(name, os.MFD_CLOEXEC)
        os.fchmod(file, 0o600)
        os.write(file, text.encode())
        return pathlib.Path(f"/proc/{os.getpid()}/fd/{file}")  # by number, for the server's other processes
    directory = pathlib.Path(tempfile.mkdtemp(prefix="serving-tls-"))  # mode 0700
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path
