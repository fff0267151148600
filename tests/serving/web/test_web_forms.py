"""The page's forms in headless Chromium: what each sends, and its answer as the client gets it."""

import base64
import io
import json
import wave

import numpy as np
import pytest
from browser import find_chromium
from page_requests import ask, sent

from serving import Client

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium (`apt install chromium`) is on the PATH")


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
