"""`serving serve` as a process of its own: started, waited for, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError

__all__ = ["run_serving", "running_server", "serving_command"]

_START_S = 120.0
_STOP_S = 20.0


def serving_command() -> list[str]:
    """Returns how the command `serving` of this environment is called.

    The zoo and the server share no code; this is the one place where a program of the one calls the other.
    """
    beside = shutil.which("serving", path=os.path.dirname(sys.executable)) or shutil.which("serving")
    if beside is None:
        raise ZooError("The command `serving` is not installed beside `zoo`. Install this package with pip.")
    return [beside]


def run_serving(arguments: Sequence[str], *, timeout_s: float = 120.0) -> dict[str, Any]:
    """Runs a `serving ... --json` command to its end and returns its document.

    Raises:
        ZooError: it failed; the message is the command's own.
    """
    done = subprocess.run(
        [*serving_command(), *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        raise ZooError(f"`serving {' '.join(arguments)}` failed: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def running_server(root: Path, log: Path) -> Iterator[dict[str, Any]]:
    """Serves `root` on a free port of this machine; yields what the server says of itself when it is ready.

    It is stopped by SIGTERM however the body ends, and killed where it does not go.

    Args:
        root: the models.
        log: a file for what the server writes to standard error.

    Raises:
        ZooError: it does not start, or does not stop in order.
    """
    command = [*serving_command(), "serve", str(root), "--port", "0", "--json"]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield _ready(process, log)
        finally:
            process.terminate()
            try:
                status = process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
        if status:
            raise ZooError(f"The server ended with exit status {status}. Its log: {log}.")


def _ready(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 0.2)[0]:
            line = process.stdout.readline()
            if line.strip():
                return json.loads(line)
    state = "did not get ready" if process.poll() is None else f"ended with exit status {process.poll()}"
    raise ZooError(f"The server {state}. Its log: {log}: {log.read_text()[-500:].strip()}")
