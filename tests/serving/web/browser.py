"""Headless Chromium over the pipe of its DevTools protocol, which needs no further package."""

import base64
import contextlib
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time
from typing import Any, Self

TIMEOUT_S = 20.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)
_ON_3_AND_4 = (  # where Chromium looks for the pipe
    "import os, sys; read, write = map(int, sys.argv[1:3]); os.dup2(read, 103); os.dup2(write, 104); "
    "os.dup2(103, 3); os.dup2(104, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((found for found in map(shutil.which, names) if found), None)


class Browser:
    """One page of one Chromium.

    Attributes:
        problems: what the page wrote to its console as a warning or error, and uncaught exceptions.
    """

    def __init__(self, chromium: str, directory: pathlib.Path):
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        command = [chromium, *FLAGS, f"--user-data-dir={directory}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(read_there), str(write_there), *command],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self._reader, self._writer = os.fdopen(read_here, "rb"), os.fdopen(write_here, "wb")
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(5)
        self._reader.close()
        self._writer.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol and its result."""
        self._number += 1
        number, answer = self._number, queue.SimpleQueue()
        self._answers[number] = answer
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        got = answer.get(timeout=TIMEOUT_S)
        if "error" in got:
            raise RuntimeError(f"{method}: {got['error']}")
        return got["result"]

    def open(self, url: str) -> None:
        self.problems.clear()
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        got = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in got:
            raise RuntimeError(f"{script}: {got['exceptionDetails']}")
        return got["result"].get("value")

    def wait(self, script: str) -> Any:
        """The first true value of an expression."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            with contextlib.suppress(RuntimeError):  # the page may be on its way to another one
                if value := self.run(script):
                    return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not true within {TIMEOUT_S} s: {script}\n{self.run('document.body.innerText')}")
            time.sleep(0.03)

    def text(self, selector: str) -> str:
        return self.wait(f"document.querySelector({json.dumps(selector)})?.innerText")

    def click(self, selector: str) -> None:
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select element."""
        self.wait(
            f"[...document.querySelectorAll({json.dumps(selector + ' option')})].some(o => o.value === {value!r})"
        )
        self.run(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)}); it.value = {value!r}; "
            "it.dispatchEvent(new Event('change')); })()"
        )

    def type(self, selector: str, text: str) -> None:
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code="Space" if key == " " else key)

    def draw(self, selector: str, *points: tuple[float, float]) -> None:
        """Drag the mouse through points of an element, given as parts of its size."""
        script = (
            f"(() => {{ const it = document.querySelector({json.dumps(selector)}); "
            "it.scrollIntoView({block: 'center'}); "
            "const box = it.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; })()"
        )
        left, top, width, height = self.run(script)
        for index, (x, y) in enumerate(points):
            kind = "mouseMoved" if index else "mousePressed"
            self._mouse(kind, left + x * width, top + y * height)
        self._mouse("mouseReleased", left + points[-1][0] * width, top + points[-1][1] * height)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def screenshot(self, path: pathlib.Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        time.sleep(0.2)
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(got["data"]))
        self.call("Emulation.clearDeviceMetricsOverride")

    def _read(self) -> None:
        buffer = b""
        while part := self._reader.read1(1 << 16):
            buffer += part
            *messages, buffer = buffer.split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                else:
                    self._notice(message)

    def _notice(self, message: dict[str, Any]) -> None:
        method, parameters = message["method"], message["params"]
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(parameters["args"])[:500])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
