"""The page in headless Chromium: what it shows, and each of its forms against the client's answers."""

import base64
import importlib
import io
import json
import pathlib
import shutil
import sys
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from serving import Client

sys.path.append(str(pathlib.Path(__file__).parent))  # importlib mode: for `browser` and `page_models`
browser_room: Any = importlib.import_module("browser")

CHROMIUM = browser_room.find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (`apt install chromium`) is on the PATH")

LABELS = ["zero", "one", "two"]


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
    with browser_room.Browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as started:
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


def sent(page: Any) -> dict[str, Any]:
    """The body of the request that the page shows."""
    return json.loads(page.wait("document.querySelector('#request')?.textContent").partition("\n\n")[2])


def ask(page: Any) -> str:
    page.run("document.querySelector('#answer')?.replaceChildren()")
    page.click("#try button.main")
    return page.text("#answer")


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


def test_a_drawn_image_is_answered_as_the_client_answers_it(page, server):
    shown = page("conv")
    shown.wait("document.querySelector('canvas.pad') !== null")
    shown.draw("canvas.pad", (0.3, 0.2), (0.7, 0.2), (0.5, 0.5), (0.4, 0.85))
    text = ask(shown)
    pixels = np.array(sent(shown)["inputs"]["image"], np.uint8)
    assert pixels.shape == (1, 28, 28, 1)
    assert pixels.max() == 255
    assert 0.02 < (pixels > 0).mean() < 0.5
    with Client(f"127.0.0.1:{server.port}") as client:
        answer = client.predict("conv", image=pixels)
    best = shown.run("document.querySelector('.bars .best .label').textContent")
    assert best == answer["label"][0].decode()
    shares = shown.run("[...document.querySelectorAll('.bars .value')].map(one => one.textContent)")
    assert shares == [f"{share * 100:.1f} %" for share in sorted(answer["probabilities"][0], reverse=True)]
    assert "ms from here and back" in shown.text("#try")
    assert "class_id" in text
    shown.click("#try .tools button[type=button]")  # Clear
    ask(shown)
    assert np.array(sent(shown)["inputs"]["image"]).max() == 0


def test_the_keyboard_draws_too(page):
    shown = page("conv", "serving_default")
    shown.run("document.querySelector('canvas.pad').focus()")
    for key in (" ", *["ArrowRight"] * 5, " ", "ArrowDown"):
        shown.key(key)
    ask(shown)
    row = np.array(sent(shown)["inputs"]["image"])[0, 14, :, 0]
    assert row[15] > 0
    assert row[2] == 0


def test_dark_on_light_turns_the_image_round(page):
    shown = page("conv")
    shown.click("#try input[type=checkbox]")
    ask(shown)
    assert np.array(sent(shown)["inputs"]["image"]).min() == 255


def test_a_sentence(page):
    shown = page("forms")
    shown.type("#try textarea", "a good one — “yes”")
    ask(shown)
    assert sent(shown)["inputs"] == {"text": ["a good one — “yes”"]}
    bars = shown.run("[...document.querySelectorAll('.bars li')].map(one => one.innerText.replace(/\\n/g, ' '))")
    assert bars == ["positive 87.5 %", "class 0 12.5 %"]
    shown.run("document.querySelector('#try textarea').value = 'bad'")
    ask(shown)  # the name of class 1 is remembered
    bars = shown.run("[...document.querySelectorAll('.bars .label')].map(one => one.textContent)")
    assert bars == ["negative", "positive"]


def test_sound_from_the_microphone_with_its_mask(page):
    shown = page("forms", "hear")
    shown.wait("document.querySelector('input[type=number]') !== null")
    shown.run("document.querySelector('input[type=number]').value = 8000")
    button = "#try .tools button[type=button]"
    shown.click(button)
    shown.wait("document.querySelector('#try').innerText.includes('Recording')")
    shown.run("new Promise(done => setTimeout(done, 700))")
    shown.click(button)
    shown.wait("/samples, .* at 8000 Hz/.test(document.querySelector('#try').innerText)")
    text = ask(shown)
    inputs = sent(shown)["inputs"]
    assert len(inputs["padding_mask"][0]) == len(inputs["waveform"][0]) > 2000
    assert all(inputs["padding_mask"][0])
    assert f"length: {len(inputs['waveform'][0])}" in text


def test_sound_from_a_file(page, server):
    samples = (3000 * np.sin(np.arange(400) / 3)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    shown = page("forms", "hear")
    shown.wait("document.querySelector('input[type=number]') !== null")
    shown.run(
        f"(() => {{ const bytes = Uint8Array.from(atob('{base64.b64encode(buffer.getvalue()).decode()}'), "
        "one => one.charCodeAt(0)); const files = new DataTransfer(); files.items.add(new File([bytes], 'a.wav')); "
        "const it = document.querySelector('#try input[type=file]'); it.files = files.files; "
        "it.dispatchEvent(new Event('change')); })()"
    )
    shown.wait("document.querySelector('#try').innerText.includes('400 samples, 0.03 s at 16000 Hz')")
    ask(shown)
    np.testing.assert_allclose(sent(shown)["inputs"]["waveform"], samples[None] / 32768, atol=2e-5)


def test_examples_are_classified(page):
    shown = page("examples")
    shown.wait("document.querySelector('#try textarea')?.value === '[{\"x\": 1.0}]'")
    ask(shown)
    assert "/v1/models/examples:classify" in shown.run("document.querySelector('#request').textContent")
    bars = shown.run("[...document.querySelectorAll('.bars li')].map(one => one.innerText.replace(/\\n/g, ' '))")
    assert bars == ["small 2.5", "große -2.5"]


def test_the_skip_link_leads_to_the_form(page):
    shown = page("conv")
    shown.wait("document.querySelector('#try') !== null")
    shown.click(".skip")
    assert shown.run("[document.activeElement.id, location.hash]") == ["try", "#conv"]


def test_ids_typed_and_by_name(page):
    shown = page("forms", "rank")
    shown.type("[aria-label=user]", "7")
    shown.type("[aria-label=items]", "3, 4")
    shown.run(
        "(() => { const files = new DataTransfer(); "
        "files.items.add(new File(['Alien\\nBrazil\\nCube\\n'], 'films.txt')); "
        "const it = document.querySelector('#try input[type=file]'); it.files = files.files; "
        "it.dispatchEvent(new Event('change')); })()"
    )
    shown.wait("document.querySelectorAll('datalist option').length === 3")
    shown.click("#try fieldset:nth-of-type(1) .tools button")
    shown.type("[aria-label=items]", "Cube")
    shown.key("Enter")
    ask(shown)
    assert sent(shown)["inputs"] == {"user": [7], "items": [[3, 4, 2]]}


def test_an_image_of_colours_from_a_file(page):
    shown = page("forms", "look")
    shown.wait("document.querySelector('#try canvas.pad') !== null")
    shown.run(
        "new Promise(done => { const it = new OffscreenCanvas(20, 20); const ink = it.getContext('2d'); "
        "ink.fillStyle = '#ff0000'; ink.fillRect(0, 0, 20, 20); it.convertToBlob().then(blob => { "
        "const files = new DataTransfer(); files.items.add(new File([blob], 'red.png')); "
        "const field = document.querySelector('#try input[type=file]'); field.files = files.files; "
        "field.dispatchEvent(new Event('change')); done(); }); })"
    )
    shown.wait("document.querySelector('canvas.seen').getContext('2d').getImageData(4, 4, 1, 1).data[0] > 250")
    text = ask(shown)
    image = np.array(sent(shown)["inputs"]["image"])
    assert image.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(image.mean((0, 1, 2)), [1, 0, 0], atol=0.02)
    assert "largest: 1" in text


def test_anything_else_is_json_with_an_example(page):
    shown = page("forms", "add")
    assert shown.wait("document.querySelector('#try textarea')?.value") == "[[0,0,0]]"
    assert "sum: 0" in ask(shown)
    shown.run("document.querySelector('#try textarea').value = '[[1, 2'")
    assert "features is no JSON" in ask(shown)


def test_a_mask_follows_what_it_masks(page):
    shown = page("sequence")
    shown.wait("document.querySelector('#try textarea') !== null")
    frames = [[[float(frame)] * 12 for frame in (1, 2, 6)]]
    shown.run(f"document.querySelector('#try textarea').value = {json.dumps(json.dumps(frames))}")
    ask(shown)
    assert sent(shown)["inputs"] == {"frames": frames, "padding_mask": [[True] * 3]}
    assert shown.run("document.querySelectorAll('.bars li').length") == 10  # of 12, the best
    assert shown.run("document.querySelector('.bars .value').textContent") == "3"


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
