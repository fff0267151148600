"""Sound files to mono 16 kHz examples, and what tells two of them apart.

Shape glossary: `T` samples.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.grouping import LeftOut
from zoo.errors import DataError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "SAMPLE_RATE_HZ",
    "Clip",
    "UnreadableSoundError",
    "clip_examples",
    "content_digest",
    "duration_s",
    "letters_and_digits",
    "read_waveform",
]

SAMPLE_RATE_HZ = 16_000

_MIN_S = 0.2
_PAGE_HEADER = struct.Struct("<4sBBqIIIB")  # magic, version, flags, position, stream, number, checksum, segments


class UnreadableSoundError(DataError):
    """A sound file cannot be decoded."""


def duration_s(path: Path) -> float:
    """Returns the length of a sound file in seconds, from its headers; raises `UnreadableSoundError`."""
    import soundfile

    try:
        return soundfile.info(str(path)).duration
    except soundfile.LibsndfileError as error:
        raise UnreadableSoundError(f"{path.name} cannot be read as sound: {error}") from error


def read_waveform(path: Path) -> np.ndarray:
    """Returns a sound file as int16 [T], 16,000 samples a second.

    Channels are averaged; other rates are resampled with a polyphase filter (`scipy.signal.resample_poly`, whose
    low-pass lies below the lower of the two Nyquist frequencies), and values beyond int16 are clipped.

    Raises:
        UnreadableSoundError: the file cannot be decoded.
    """
    import math

    import numpy as np
    import soundfile
    from scipy.signal import resample_poly

    try:
        samples, rate_hz = soundfile.read(str(path), dtype="float32", always_2d=True)  # [T, channels]
    except soundfile.LibsndfileError as error:
        raise UnreadableSoundError(f"{path.name} cannot be read as sound: {error}") from error
    mono = samples.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        divisor = math.gcd(rate_hz, SAMPLE_RATE_HZ)
        mono = resample_poly(mono, SAMPLE_RATE_HZ // divisor, rate_hz // divisor)
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)


def content_digest(path: Path) -> str:
    """Returns the same text for sound files of the same sound, whatever their comments, without decoding.

    Of an Ogg Vorbis file the packets count, but for the comments, and the position at which the sound ends; page
    headers, which hold a random stream number, do not. Of any other file every byte counts. A file that an encoder
    made from the same recording once more is another one.
    """
    content = path.read_bytes()
    bodies, last_position, start = [], 0, 0
    while content[start : start + 4] == b"OggS" and start + _PAGE_HEADER.size <= len(content):
        *_, segments = header = _PAGE_HEADER.unpack_from(content, start)
        body = start + _PAGE_HEADER.size + segments
        end = body + sum(content[start + _PAGE_HEADER.size : body])
        bodies.append(content[body:end])
        last_position, start = header[3], end
    packets = b"".join(bodies)
    comments, setup = packets.find(b"\x03vorbis"), packets.find(b"\x05vorbis")
    if not 0 < comments < setup:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha256(packets[:comments] + packets[setup:] + str(last_position).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """A recording that may become an example.

    Attributes:
        key: unique in its data set.
        path: of the sound file.
        tensors: what else the example holds, `text` or `label`.
    """

    key: str
    path: Path
    tensors: Mapping[str, Any]


def clip_examples(
    clips: Iterable[Clip], left_out: LeftOut, *, max_s: float, max_characters_s: float | None = None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the examples of `clips`, one decoded at a time: key, and `waveform` int16 [T] with the clip's tensors.

    A clip shorter than 0.2 s or longer than `max_s`, one whose `text` has more than `max_characters_s` characters a
    second, and one that cannot be read are left out; once all were asked for, `left_out` is closed.
    """
    num_kept = 0
    for clip in clips:
        try:
            length_s = duration_s(clip.path)
            reason = _reason_against(clip, length_s, max_s, max_characters_s)
            if reason:
                left_out.count(reason)
                continue
            waveform = read_waveform(clip.path)
        except UnreadableSoundError as error:
            left_out.unreadable(clip.key, error)
            continue
        num_kept += 1
        yield clip.key, {"waveform": waveform, **clip.tensors}
    left_out.close(num_kept)


def _reason_against(clip: Clip, length_s: float, max_s: float, max_characters_s: float | None) -> str:
    """Returns why a clip is left out; "" where it is not."""
    if length_s < _MIN_S:
        return f"shorter than {_MIN_S:g} s"
    if length_s > max_s:
        return f"longer than {max_s:g} s"
    if max_characters_s and len(clip.tensors["text"]) > max_characters_s * length_s:
        return f"with more than {max_characters_s:g} characters a second"
    return ""


def letters_and_digits(text: str) -> str:
    """Returns what two transcripts of the same words have in common.

    >>> letters_and_digits("Dobrý nápad!")
    'dobrýnápad'
    """
    return "".join(character for character in text.casefold() if character.isalnum())
