"""Pictures, sound and sentences as the inputs of a signature, for the command line."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import UsageError
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["Sound", "audio_inputs", "image_inputs", "merged", "read_images", "read_sounds", "text_inputs"]

CHANNEL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_FLOATS = ("float", "double", "half", "bfloat16")

Fitted = tuple[dict[str, np.ndarray], list[str]]  # inputs by name, and what the user should know


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sound:
    """One channel of sound, float32 in [-1, 1]."""

    samples: np.ndarray
    rate_hz: int


def read_images(paths: Sequence[pathlib.Path]) -> list[Any]:
    """Pillow's images, turned as their EXIF data says.

    Raises:
        UsageError: a file holds no image, or Pillow is not installed.
    """
    image, operations = _optional("PIL.Image"), _optional("PIL.ImageOps")
    images = []
    for path in paths:
        try:
            with image.open(path) as opened:
                images.append(operations.exif_transpose(opened))
        except (OSError, ValueError, SyntaxError) as error:
            raise UsageError(f"`--image {path}`: no image can be read from the file: {error}") from error
    return images


def read_sounds(paths: Sequence[pathlib.Path]) -> list[Sound]:
    """The mean of the channels of each file.

    Raises:
        UsageError: a file holds no sound, or soundfile is not installed.
    """
    soundfile = _optional("soundfile")
    sounds = []
    for path in paths:
        try:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, RuntimeError, TypeError) as error:  # soundfile's own errors are RuntimeErrors
            raise UsageError(f"`--audio {path}`: no sound can be read from the file: {error}") from error
        if not len(samples):
            raise UsageError(f"`--audio {path}` holds no sound: it has 0 samples.")
        sounds.append(Sound(samples=samples.mean(axis=1, dtype=np.float32), rate_hz=rate_hz))
    return sounds


def _optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Pictures and sound need `{error.name}`, which is not installed: "
            f"pip install 'keras-model-zoo-client[files]'"
        ) from error


def image_inputs(signature: Signature, images: Sequence[Any]) -> Fitted:
    """`images` as the one input that can take them, scaled to its size, in its channels and dtype.

    Raises:
        UsageError: no input fits, or several; or images of several sizes where the signature does not tell one.
    """
    spec = _only(signature, "--image", "an image [?, height, width, 1, 3 or 4]", _takes_images)
    height, width, channels = (spec.shape or (None,) * 3)[-3:]
    arrays = []
    for image in images:
        scaled = image.convert(CHANNEL_MODES[channels or 1])
        size = (width or scaled.width, height or scaled.height)
        if size != scaled.size:
            scaled = scaled.resize(size, _optional("PIL.Image").Resampling.BILINEAR)
        arrays.append(np.asarray(scaled, np.uint8).reshape(size[1], size[0], channels or 1))
    if len({array.shape for array in arrays}) > 1:
        sizes = ", ".join(sorted({f"{array.shape[1]}x{array.shape[0]}" for array in arrays}))
        raise UsageError(f"`{spec.name}` takes images of any size, but of one size in a request. Received: {sizes}.")
    batch = _batch(spec, arrays, "--image", rank=3)
    if spec.dtype.name not in _FLOATS:
        return {spec.name: batch.astype(spec.dtype.numpy)}, []
    scaled = (batch.astype(np.float32) / 255).astype(spec.dtype.numpy)
    return {spec.name: scaled}, [f"`{spec.name}` takes {spec.dtype.name}: pixels are sent as numbers from 0 to 1"]


def text_inputs(signature: Signature, texts: Sequence[str]) -> Fitted:
    """`texts` as the one input that takes strings.

    Raises:
        UsageError: no input fits, or several.
    """
    spec = _only(signature, "--text", "a string [?]", _takes_texts)
    arrays = [np.array(text.encode(), object) for text in texts]
    if spec.shape is not None and len(spec.shape) == 2:  # one column
        return {spec.name: np.stack(arrays).reshape(-1, 1)}, []
    return {spec.name: _batch(spec, arrays, "--text", rank=0)}, []


def audio_inputs(signature: Signature, sounds: Sequence[Sound], *, rate_hz: int | None) -> Fitted:
    """`sounds` as the one input that takes waveforms, with its mask where the signature has one.

    Args:
        signature: what the model takes.
        sounds: of any length; zeros fill up the shorter ones.
        rate_hz: the model's sample rate; as they are without.

    Raises:
        UsageError: no input fits, or several; or lengths differ and there is no mask to tell them.
    """
    spec = _only(signature, "--audio", "a waveform: float [?, samples]", _takes_waveforms)
    notes = []
    if rate_hz is None:
        rates = ", ".join(str(rate) for rate in sorted({sound.rate_hz for sound in sounds}))
        notes.append(f"sound is sent as it is, at {rates} Hz; give `--sample-rate` if the model takes another rate")
    waves = [sound.samples if rate_hz is None else _resampled(sound, rate_hz) for sound in sounds]
    mask = next((name for name in (f"{spec.name}_padding_mask", "padding_mask") if name in signature.inputs), None)
    fixed = spec.shape[1] if spec.shape else None
    lengths = [len(wave) for wave in waves]
    if fixed is None and mask is None and len(set(lengths)) > 1:
        raise UsageError(f"`{spec.name}` has no mask, so all sounds must have the same length. Received: {lengths}.")
    size = fixed or max(lengths)
    if fixed is not None and set(lengths) != {fixed}:
        notes.append(f"`{spec.name}` takes {fixed} samples: shorter sounds are filled up with zeros, longer ones cut")
    padded = np.stack([np.pad(wave[:size], (0, max(size - len(wave), 0))) for wave in waves])
    if spec.dtype.name == "int16":
        padded = np.rint(np.clip(padded, -1, 1) * 32767)
    inputs = {spec.name: padded.astype(spec.dtype.numpy)}
    if mask is not None:
        inputs[mask] = np.arange(size) < np.minimum(lengths, size)[:, None]
    return inputs, notes


def _takes_images(spec: TensorSpec) -> bool:
    return (
        spec.shape is not None
        and len(spec.shape) in (3, 4)
        and spec.shape[-1] in CHANNEL_MODES
        and spec.dtype.name in ("uint8", "int32", *_FLOATS)
    )


def _takes_texts(spec: TensorSpec) -> bool:
    return spec.dtype.is_string and (spec.shape is None or len(spec.shape) < 2 or spec.shape[1:] == (1,))


def _takes_waveforms(spec: TensorSpec) -> bool:
    return spec.shape is not None and len(spec.shape) == 2 and spec.dtype.name in ("int16", *_FLOATS)


def _only(signature: Signature, option: str, wanted: str, fits: Any) -> TensorSpec:
    found = [spec for spec in signature.inputs.values() if fits(spec)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{spec.name}: {spec.dtype.name} {spec.shape_text()}" for spec in signature.inputs.values())
    raise UsageError(
        f"`{option}` needs exactly one input that takes {wanted}; signature {signature.key!r} has {len(found)}. "
        f"Its inputs: {listed or 'none'}. Give the arrays: --input NAME=FILE.npy"
    )


def _batch(spec: TensorSpec, arrays: Sequence[np.ndarray], option: str, *, rank: int) -> np.ndarray:
    """One array of all; of the only one where the input has no batch axis."""
    if spec.shape is None or len(spec.shape) > rank:
        return np.stack(arrays)
    if len(arrays) > 1:
        raise UsageError(f"`{spec.name}` has no batch axis, so `{option}` can be given once. Received: {len(arrays)}.")
    return arrays[0]


def _resampled(sound: Sound, rate_hz: int) -> np.ndarray:
    """Band-limited, by its spectrum; a short sound at its ends as if it went round."""
    if sound.rate_hz == rate_hz:
        return sound.samples
    count = max(round(len(sound.samples) * rate_hz / sound.rate_hz), 1)
    spectrum = np.fft.rfft(sound.samples)[: count // 2 + 1]
    return (np.fft.irfft(spectrum, count) * (count / len(sound.samples))).astype(np.float32)


def merged(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """All inputs.

    Raises:
        UsageError: two options give the same one.
    """
    inputs: dict[str, np.ndarray] = {}
    for part in parts:
        if twice := inputs.keys() & part.keys():
            raise UsageError(f"Each input must be given once. Received twice: {min(twice)}.")
        inputs.update(part)
    return inputs
