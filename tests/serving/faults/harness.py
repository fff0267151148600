"""A server of every kind of signature, and the door by which gRPC hands it bytes, without gRPC."""

import pathlib
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from serving.api.service import METHODS, Service
from serving.rpc.servicers import _behavior
from serving.rpc.unsent import UnsentAnswers

SERVICES = {
    name: "ModelService" if name in ("GetModelStatus", "HandleReloadConfigRequest") else "PredictionService"
    for name in METHODS
}


class RefusedError(Exception):
    """What gRPC would send instead of an answer."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(code, details)
        self.code = code
        self.details = details


class Context:
    """The part of a `grpc.ServicerContext` that the server looks at."""

    def __init__(self, **metadata: str):
        self._metadata = tuple(metadata.items())

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise RefusedError(code, details)

    def set_trailing_metadata(self, metadata: Any) -> None:
        pass

    def time_remaining(self) -> float:
        return 30.0

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return False  # it is sent

    def auth_context(self) -> dict:
        return {}


Door = Callable[[str, bytes], tuple[grpc.StatusCode, str]]


def door(service: Service) -> Door:
    """`(method, bytes) -> (code, details)`, the details of an answer being its size."""
    behaviors = {name: _behavior(service, method, UnsentAnswers()) for name, method in METHODS.items()}

    def knock(method: str, body: bytes) -> tuple[grpc.StatusCode, str]:
        try:
            answer = behaviors[method](body, Context())  # pyright: ignore[reportArgumentType]
        except RefusedError as refused:
            return refused.code, refused.details
        return grpc.StatusCode.OK, str(len(answer))

    return knock


def wire(channel: grpc.Channel) -> Door:
    """The same through gRPC."""

    def ask(method: str, body: bytes) -> tuple[grpc.StatusCode, str]:
        call = channel.unary_unary(f"/tensorflow.serving.{SERVICES[method]}/{method}")
        try:
            return grpc.StatusCode.OK, str(len(call(body, timeout=30)))
        except grpc.RpcError as error:
            return error.code(), error.details() or ""  # pyright: ignore[reportAttributeAccessIssue]

    return ask


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def model(root: pathlib.Path, name: str) -> pathlib.Path:
    (root / name).mkdir(parents=True, exist_ok=True)
    return root / name
