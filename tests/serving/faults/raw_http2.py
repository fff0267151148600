"""As much of HTTP/2 as a client needs that asks by gRPC and then does not take the answer."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
ACK, END_STREAM, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header field that is in no table."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class UnreadingClient:
    """Sends requests over one connection and reads nothing of it.

    Args:
        port: of the server, on this machine.
        window: bytes of each answer that the server may send before it has to wait.
    """

    def __init__(self, port: int, *, window: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack("!HI", INITIAL_WINDOW_SIZE, window)))
        self._socket.sendall(frame(SETTINGS, ACK, 0, b""))  # of the server's, whatever they are
        self._next_stream = 1

    def ask(self, path: str, body: bytes) -> None:
        """Send one request of less than the 16 KB of a frame."""
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
        fields["content-type"] = "application/grpc"
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        headers = b"".join(_literal(name, value) for name, value in fields.items())
        message = b"\0" + struct.pack("!I", len(body)) + body
        self._socket.sendall(frame(HEADERS, END_HEADERS, stream, headers) + frame(DATA, END_STREAM, stream, message))

    def close(self) -> None:
        self._socket.close()
