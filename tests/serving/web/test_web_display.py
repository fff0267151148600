"""What the page shows in headless Chromium: models, live numbers, errors and markup; for a token and on a phone."""

import importlib
import json
from typing import Any

import pytest
from browser import find_chromium
from page_requests import ask

from serving import Client

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium (`apt install chromium`) is on the PATH")


def test_models_versions_and_the_reason_of_a_failure_are_shown(page, server):
    shown = page("conv")
    names = shown.run("[...document.querySelectorAll('#models .name')].map(one => one.textContent)")
    assert names == sorted(server.repository.served())
    rows = shown.wait(
        "[...document.querySelectorAll('#versions tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert [row[:2] for row in rows] == [["3", "end, DATA_LOSS"], ["2", "available"], ["1", "available"]]
    assert rows[0][2] == server.repository.status("conv")[0].message
    shown.wait("document.querySelector('#model').innerText.includes('uint8 [?, 28, 28, 1]')")
    assert shown.text("#readiness") == "6 of 6 available"


def test_the_skip_link_leads_to_the_form(page):
    shown = page("conv")
    shown.wait("document.querySelector('#try') !== null")
    shown.click(".skip")
    assert shown.run("[document.activeElement.id, location.hash]") == ["try", "#conv"]


def test_an_error_of_the_server_is_shown_as_it_is(page, chromium):
    shown = page("forms", "add")
    shown.wait("document.querySelector('#try textarea') !== null")
    shown.run("document.querySelector('#try textarea').value = '[[1, 2]]'")
    assert ask(shown) == "400: Input `features` must have shape [?, 3]. Received: [1, 2]."
    chromium.problems.clear()  # the browser itself notes each answer that is an error


def test_the_live_numbers_follow_requests(page, server):
    shown = page("double")
    shown.wait("performance.getEntriesByType('resource').some(one => one.name.endsWith('/v1/stats'))")
    with Client(f"127.0.0.1:{server.port}") as client:
        for _ in range(20):
            client.predict("double", x=[1.0])
    rate = shown.wait(
        "(() => { const it = document.querySelector('[data-key=rate]').textContent; "
        "return /^[1-9]/.test(it) && it; })()"
    )
    assert 0 < float(rate.removesuffix("/s")) <= 40
    for key in ("p50", "p99"):
        assert shown.wait(f"document.querySelector('[data-key={key}]').textContent").endswith(("ms", "s"))
    shown.wait("document.querySelector('[data-key=failed]').textContent === '0 of 20'")
    assert shown.run("document.querySelectorAll('.entry[aria-current] .spark path').length") == 1


def test_names_and_answers_that_are_markup_are_shown_as_text(page, server):
    models: Any = importlib.import_module("page_models")
    shown = page()
    shown.run(f"location.hash = encodeURIComponent({json.dumps(models.MARKUP)})")
    shown.wait(f"document.querySelector('#model h2')?.textContent === {json.dumps(models.MARKUP)}")
    shown.type("#try textarea", "<b>bold</b>")
    text = ask(shown)
    assert text.count(models.MARKUP) >= 2
    assert shown.run("document.querySelector('.bars .best .label').textContent") == models.MARKUP
    assert shown.run("document.querySelectorAll('img, b').length") == 0
    assert shown.run("document.title") == "Models"


def test_a_token_is_asked_for_and_kept_for_the_session_alone(chromium, server, tmp_path):
    import datetime

    from serving.api.service import Service
    from serving.options import Limits
    from serving.rest.server import RestServer
    from serving.security.access import parse_rule
    from serving.security.gate import Gate, GateOptions
    from serving.security.token_store import change_entries
    from serving.security.tokens import make_token

    made = make_token("alice", (parse_rule("double:predict,metadata"),), now=datetime.datetime.now(datetime.UTC))
    change_entries(tmp_path / "tokens.json", lambda _: [made.entry])
    gate = Gate.open(GateOptions(tokens=tmp_path / "tokens.json"))
    service = Service(server.repository, limits=Limits(), reload=lambda config: None, gate=gate)
    guarded = RestServer(service, host="127.0.0.1", port=0)
    guarded.start()
    try:
        chromium.open(f"http://127.0.0.1:{guarded.port}/")
        assert "This server asks for a token" in chromium.text("#problem")
        chromium.type("#token", made.token)
        chromium.click("#token-form button")
        chromium.wait("document.querySelector('#model h2')?.innerText === 'double'")
        assert chromium.run("[...document.querySelectorAll('#models .name')].map(one => one.textContent)") == ["double"]
        assert chromium.run("document.querySelector('#problem').hidden")
        assert chromium.run("[localStorage.length, document.cookie, sessionStorage.length]") == [0, "", 1]
    finally:
        guarded.stop(1)
        chromium.problems.clear()


def test_a_phone_shows_no_more_than_its_width(page, chromium, tmp_path):
    shown = page("forms")
    chromium.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    try:
        shown.wait("document.querySelector('#try textarea') !== null")
        assert shown.run("document.documentElement.scrollWidth") <= 360
    finally:
        chromium.call("Emulation.clearDeviceMetricsOverride")
