"""One server and one headless Chromium for each file, and the page opened in it."""

import importlib
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

# importlib mode: for `browser`, `page_models`, `page_requests`
sys.path.append(str(pathlib.Path(__file__).parent))


@pytest.fixture(scope="module")
def server(root, tmp_path_factory) -> Iterator[Any]:
    """The models of the session's root, those of the forms, one that is broken, and one named as markup."""
    from serving.options import ServerOptions
    from serving.server import Server

    models: Any = importlib.import_module("page_models")
    path = tmp_path_factory.mktemp("web") / "root"
    shutil.copytree(root, path, ignore=shutil.ignore_patterns("models.config"))
    models.write_forms(path / "forms" / "1")
    importlib.import_module("example_models").write_native(path / "examples" / "1")
    models.write_markup(path / models.MARKUP / "1")
    (path / "conv" / "3").mkdir()
    (path / "conv" / "3" / "saved_model.pb").write_bytes(b"\xffnot a model")
    running = Server(path, ServerOptions(port=0, rest_port=0, poll_seconds=0))
    running.start()
    yield running
    running.stop(5)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Any]:
    browser: Any = importlib.import_module("browser")
    with browser.Browser(browser.find_chromium(), tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(chromium, server) -> Iterator[Any]:
    """Opens the page at a model; and what it wrote to the console fails the test."""

    def at(model: str = "", signature: str = "") -> Any:
        chromium.open(f"http://127.0.0.1:{server.rest_port}/#{model}")
        if model:
            chromium.wait(f"document.querySelector('#model h2')?.innerText === {json.dumps(model)}")
        if signature:
            chromium.choose("#signature", signature)
        return chromium

    yield at
    assert chromium.problems == []
