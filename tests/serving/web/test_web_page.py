"""The page's files as they are served, without a browser."""

import asyncio
import pathlib
import re

import httpx
import pytest
from starlette.applications import Starlette

from serving.web.page import STATIC, Page

FILES = sorted(path.name for path in STATIC.iterdir())


def get(path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=Page.load().routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("name", [name for name in FILES if name != "index.html"])
def test_every_file_is_served_with_its_type_and_policy(name):
    response = get(f"/static/{name}")
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert response.headers["content-type"] == f"{types[pathlib.Path(name).suffix]}; charset=utf-8"
    assert response.content == (STATIC / name).read_bytes()
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_policy_lets_nothing_in_from_elsewhere():
    policy = get("/").headers["content-security-policy"]
    assert set(re.findall(r"'[a-z-]+'|https?:|\*|data:|blob:", policy)) == {"'self'", "'none'"}
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host_or_writes_markup(name):
    text = (STATIC / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|(?<!:)//[a-z]", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    assert not re.search(r"\son[a-z]+=|style=|<script>|<style>", text)


def test_an_unchanged_file_is_not_sent_again():
    first = get("/static/app.js")
    again = get("/static/app.js", **{"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize("path", ["/static/", "/static/index.html", "/static/../page.py", "/static/x.js", "/page.py"])
def test_nothing_else_is_there(path):
    assert get(path).status_code == 404
