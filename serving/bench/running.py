"""Servers that a benchmark starts, watches and stops."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from serving.errors import ServingError

__all__ = ["Running", "naive_server", "our_server"]

STOP_TIMEOUT_S = 30.0


class Running:
    """A server process and its children."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self._process = process
        self.address = address

    def memory_bytes(self) -> int:
        """Memory that the process and its children have taken (`Pss_Anon`).

        Without that of files: libraries are shared with whatever else runs, and count more as soon as that ends.
        """
        return sum(_anonymous_bytes(pid) for pid in _tree(self._process.pid))


@contextlib.contextmanager
def our_server(root: pathlib.Path, options: Sequence[str]) -> Iterator[Running]:
    """`serving serve ROOT` with `options`, on a free port, ready.

    Raises:
        ServingError: it did not start; with the end of its log.
    """
    command = (sys.executable, "-m", "serving.cli.main", "serve", str(root), "--port", "0", "--json", *options)
    with _started(command) as (process, line):
        yield Running(process, f"127.0.0.1:{json.loads(line)['port']}")


@contextlib.contextmanager
def naive_server(version: pathlib.Path) -> Iterator[Running]:
    """`serving.bench.naive` on the SavedModel of a version directory; errors as for `our_server`."""
    with _started((sys.executable, "-m", "serving.bench.naive", str(version))) as (process, line):
        yield Running(process, f"127.0.0.1:{int(line)}")


@contextlib.contextmanager
def _started(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                _, log = process.communicate()
                raise ServingError(f"The server did not start ({' '.join(command)}): {log.strip()[-500:]}")
            drain = _discard(process)
            try:
                yield process, line
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT_S)
        finally:
            process.kill()
        drain.join(STOP_TIMEOUT_S)


def _discard(process: subprocess.Popen[str]) -> threading.Thread:
    """Read the log on, so that a full pipe does not stop the server."""

    def read() -> None:
        assert process.stderr is not None
        for _ in process.stderr:
            pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _tree(pid: int) -> list[int]:
    found = [pid]
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found += _tree(int(child))
    return found


def _anonymous_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return 0
