"""`serving predict` with pictures, texts, sound and REST bodies."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from serving.cli import main as cli
from serving.client import json_files, media_files, tables
from serving.errors import UsageError
from serving.protocol.codec import DTYPES
from serving.protocol.signature import Signature, TensorSpec

NUMBERS = {dtype.name: dtype for dtype in DTYPES}
NO_SERVER = "127.0.0.1:1"


@pytest.fixture
def run(capsys):
    """Run a command; its exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return call


def signature(**inputs: tuple[str, tuple[int | None, ...] | None]) -> Signature:
    specs = {name: TensorSpec(name=name, dtype=NUMBERS[dtype], shape=shape) for name, (dtype, shape) in inputs.items()}
    return Signature(key="serving_default", inputs=specs, outputs={})


@pytest.fixture
def picture(tmp_path, images):
    path = tmp_path / "digit.png"
    Image.fromarray(images[0, :, :, 0]).save(path)
    return path


def test_pictures(run, address, tmp_path, picture, images, expected):
    other = tmp_path / "other.png"
    Image.fromarray(images[1, :, :, 0]).save(other)
    status, out, err = run("predict", address, "conv", "--image", picture, "--image", other, "--json")
    assert status == 0, err
    want = expected("conv_b", image=images[:2])["probabilities"]
    np.testing.assert_allclose(json.loads(out)["outputs"]["probabilities"]["values"], want, rtol=1e-6)


def test_a_table_of_classes(run, address, picture, images, expected):
    status, out, err = run("predict", address, "conv", "--image", picture)
    assert status == 0, err
    want = expected("conv_b", image=images[:1])
    best = int(want["class_id"][0])
    lines = out.splitlines()
    assert lines[:2] == ["conv, version 2", "row  class  probability  label"]
    probability, label = want["probabilities"][0, best], want["label"][0].decode()
    assert lines[2].split() == ["0", str(best), f"{probability:.4f}", label]
    assert len(lines[3].split()) == 2
    assert "probabilities: float32 [1, 3]" in lines


def test_a_long_table_is_cut():
    lines = list(tables.answer_lines({"probabilities": np.full((50, 10), 0.1, np.float32)}))
    assert lines[-3].startswith("... and 30 rows more")
    assert len(lines) == 1 + 20 * 5 + 1 + 2


IMAGE_SPECS = {
    "scaled": (("uint8", (None, 14, 7, 1)), (14, 7, 1)),
    "coloured": (("uint8", (None, 28, 28, 3)), (28, 28, 3)),
    "transparent": (("uint8", (None, 28, 28, 4)), (28, 28, 4)),
    "open": (("uint8", (None, None, None, 3)), (28, 28, 3)),
    "no batch": (("uint8", (8, 8, 1)), None),
    "float": (("float", (None, 28, 28, 1)), (28, 28, 1)),
    "bfloat16": (("bfloat16", (None, 28, 28, 1)), (28, 28, 1)),
}


@pytest.mark.parametrize(("spec", "want"), IMAGE_SPECS.values(), ids=IMAGE_SPECS)
def test_a_picture_is_made_to_fit(picture, spec, want):
    inputs, notes = media_files.image_inputs(signature(image=spec), media_files.read_images([picture]))
    array = inputs["image"]
    assert array.dtype == NUMBERS[spec[0]].numpy
    assert array.shape == ((1, *want) if want else (8, 8, 1))
    if "float" in spec[0]:
        assert 0.5 < float(array.max()) <= 1
        assert "from 0 to 1" in notes[0]
    else:
        assert not notes


def test_pictures_of_several_sizes(tmp_path):
    images = [Image.new("L", size) for size in ((2, 3), (3, 2))]
    with pytest.raises(UsageError, match="of one size in a request. Received: 2x3, 3x2"):
        media_files.image_inputs(signature(image=("uint8", (None, None, None, 1))), images)


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        (("string", (None,)), [b"a", b"\xc3\xbc"]),
        (("string", (None, 1)), [[b"a"], [b"\xc3\xbc"]]),
        (("string", None), [b"a", b"\xc3\xbc"]),
    ],
    ids=["rows", "column", "any rank"],
)
def test_texts(spec, want):
    inputs, _ = media_files.text_inputs(signature(text=spec, n=("int32", (None,))), ["a", "\u00fc"])
    assert inputs["text"].tolist() == want


def test_a_text_is_sent(run, address):
    status, out, err = run("predict", address, "double", "--signature", "echo", "--text", "h\u00e9", "--json")
    assert status == 0, err
    assert json.loads(out)["outputs"]["text"]["values"] == "h\u00e9"
    status, _, err = run("predict", address, "double", "--signature", "echo", "--text", "a", "--text", "b")
    assert status == 2
    assert "no batch axis" in err


def write_sound(path, seconds: float, rate_hz: int, channels: int = 1):
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    wave = 0.5 * np.sin(2 * np.pi * 440 * times)
    soundfile.write(path, np.stack([wave, -wave / 2][:channels], axis=1), rate_hz)
    return path


WAVEFORM = ("float", (None, None))


def test_sound_is_resampled_on_request(tmp_path):
    sounds = media_files.read_sounds([write_sound(tmp_path / "a.wav", 0.5, 44_100)])
    inputs, notes = media_files.audio_inputs(signature(waveform=WAVEFORM), sounds, rate_hz=16_000)
    want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000)
    assert inputs["waveform"].dtype == np.float32
    np.testing.assert_allclose(inputs["waveform"][0, 200:-200], want[200:-200], atol=0.01)
    assert not notes


def test_sound_without_a_rate_is_sent_as_it_is(tmp_path):
    sounds = media_files.read_sounds([write_sound(tmp_path / "a.wav", 0.1, 8_000, channels=2)])
    inputs, notes = media_files.audio_inputs(signature(waveform=WAVEFORM), sounds, rate_hz=None)
    assert inputs["waveform"].shape == (1, 800)
    assert np.abs(inputs["waveform"]).max() == pytest.approx(0.125, abs=0.01)  # the mean of both channels
    assert "8000 Hz" in notes[0]
    assert "--sample-rate" in notes[0]


@pytest.mark.parametrize("mask", ["padding_mask", "waveform_padding_mask"])
def test_sounds_of_several_lengths(tmp_path, mask):
    sounds = media_files.read_sounds([write_sound(tmp_path / f"{n}.wav", n / 1000, 1000) for n in (3, 5)])
    takes = signature(waveform=WAVEFORM, **{mask: ("bool", (None, None))})
    inputs, _ = media_files.audio_inputs(takes, sounds, rate_hz=1000)
    assert inputs["waveform"].shape == (2, 5)
    assert inputs[mask].tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    with pytest.raises(UsageError, match=r"no mask.*\[3, 5\]"):
        media_files.audio_inputs(signature(waveform=WAVEFORM), sounds, rate_hz=1000)


def test_sound_of_a_fixed_length(tmp_path):
    sounds = media_files.read_sounds([write_sound(tmp_path / f"{n}.wav", n / 1000, 1000) for n in (3, 9)])
    inputs, notes = media_files.audio_inputs(signature(waveform=("int16", (None, 5))), sounds, rate_hz=1000)
    assert (inputs["waveform"].dtype, inputs["waveform"].shape) == (np.int16, (2, 5))
    assert inputs["waveform"][0, 3:].tolist() == [0, 0]
    assert np.abs(inputs["waveform"]).max() > 1000
    assert "filled up with zeros" in notes[0]


@pytest.mark.parametrize(
    ("option", "inputs", "count"),
    [
        ("--image", {"frames": ("float", (None, None, 12)), "text": ("string", (None,))}, 0),
        ("--image", {"left": ("uint8", (None, 8, 8, 3)), "right": ("uint8", (None, 8, 8, 3))}, 2),
        ("--text", {"x": ("float", (None,))}, 0),
        ("--text", {"a": ("string", (None,)), "b": ("string", (None,))}, 2),
        ("--audio", {"image": ("uint8", (None, 28, 28, 1))}, 0),
        ("--audio", {"a": ("float", (None, None)), "b": ("float", (None, 80))}, 2),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_input_that_is_not_clear_is_asked_for(option, inputs, count):
    fit = {
        "--image": lambda takes: media_files.image_inputs(takes, [Image.new("L", (8, 8))]),
        "--text": lambda takes: media_files.text_inputs(takes, ["a"]),
        "--audio": lambda takes: media_files.audio_inputs(
            takes, [media_files.Sound(samples=np.zeros(8, np.float32), rate_hz=8)], rate_hz=None
        ),
    }[option]
    with pytest.raises(UsageError, match=f"`{option}` needs exactly one input") as raised:
        fit(signature(**inputs))
    assert f"has {count}." in str(raised.value)
    for name in inputs:
        assert f"{name}: " in str(raised.value)


BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "rows": ({"instances": [1.0, 2.5]}, {"x": [1.0, 2.5]}),
    "named rows": ({"instances": [{"x": 1}, {"x": 2}]}, {"x": [1, 2]}),
    "columns": ({"inputs": [1, 2]}, {"x": [1, 2]}),
    "named columns": ({"inputs": {"x": [1]}}, {"x": [1]}),
    "bytes": ({"instances": [{"b64": base64.b64encode(b"\xff\0").decode()}]}, {"x": [b"\xff\0"]}),
    "bytes in rows": ({"instances": [{"x": {"b64": "YQ=="}}]}, {"x": [b"a"]}),
}


@pytest.mark.parametrize(("body", "want"), BODIES.values(), ids=BODIES)
def test_bodies_of_rest_requests(tmp_path, body, want):
    path = tmp_path / "body.json"
    path.write_text(json.dumps(body))
    assert json_files.body_inputs(json_files.read_body(path), signature(x=("float", (None,)))) == want


def test_a_body_is_sent(run, address, tmp_path):
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"instances": [1, 2.5], "signature_name": "half"}))
    status, out, err = run("predict", address, "double", "--from-json", path, "--batch-size", 1, "--json")
    assert status == 0, err
    assert json.loads(out)["outputs"]["half"]["values"] == [1.0, 2.5]


WRONG_BODIES = {
    "no JSON": "{",
    "no object": "[1]",
    "neither": "{}",
    "both": '{"inputs": 1, "instances": [1]}',
    "no rows": '{"instances": []}',
    "unknown": '{"inputs": 1, "signature": "x"}',
    "base64": '{"inputs": {"b64": "%"}}',
    "deep": "[" * 200_000,
}


@pytest.mark.parametrize("text", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_file_that_is_no_body(run, tmp_path, text):
    path = tmp_path / "body.json"
    path.write_text(text)
    status, out, err = run("predict", NO_SERVER, "m", "--from-json", path)
    assert (status, out) == (2, "")
    assert f"--from-json {path}" in err


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"instances": [1]}, "signature with one input"),
        ({"inputs": [1]}, "signature with one input"),
        ({"instances": [{"x": 1}, {"y": 1}]}, "same inputs"),
        ({"instances": [{"x": 1}, 2]}, "same inputs"),
    ],
    ids=["rows", "columns", "names", "mixed"],
)
def test_a_body_that_does_not_fit(tmp_path, body, text):
    path = tmp_path / "body.json"
    path.write_text(json.dumps(body))
    with pytest.raises(UsageError, match=text):
        json_files.body_inputs(json_files.read_body(path), signature(x=("float", (None,)), y=("float", (None,))))


@pytest.mark.parametrize(("option", "what"), [("--image", "image"), ("--audio", "sound")])
@pytest.mark.parametrize("content", [None, b"junk"], ids=["missing", "junk"])
def test_a_file_that_cannot_be_read(run, tmp_path, option, what, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("predict", NO_SERVER, "m", option, path)
    assert (status, out) == (2, "")
    assert re.search(f"`{option} {path}`: no {what} can be read", err)


def test_an_input_given_twice(run, address, tmp_path, picture, images):
    np.save(tmp_path / "x.npy", images)
    status, _, err = run("predict", address, "conv", "--image", picture, "--input", f"image={tmp_path / 'x.npy'}")
    assert status == 2
    assert "Received twice: image" in err


def test_a_file_after_json_is_explained(run):
    status, out, err = run("predict", NO_SERVER, "m", "--json", "body.json")
    assert (status, out) == (2, "")
    assert "--from-json body.json" in err


def test_without_the_libraries_it_says_what_to_install(run, monkeypatch, picture):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    status, _, err = run("predict", NO_SERVER, "m", "--image", picture)
    assert status == 2
    assert "pip install 'keras-model-zoo-client[files]'" in err
