"""Sound to frames: log-mel energies, mel cepstra (MFCC), linear prediction cepstra (LPCC).

Shape glossary: `B` batch, `T` samples of the longest clip, `F` frames of the longest clip, `D` width of a frame.

A clip of n samples gives `1 + max(0, n - frame_length) // hop_length` frames, where both lengths are the fields in ms
times `sample_rate_hz`, rounded: frame k begins at sample `k * hop_length`, without centring. 1 s at 16 kHz with 25 and
10 ms gives 98 frames. A clip shorter than a frame is filled up with zeros to one. Of a clip's end, less than a hop may
fall into no frame. What stands in the padding behind a clip changes nothing.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.errors import InvalidValueError
from zoo.features.base import AbstractSoundFeature, AbstractUnfittedFeature

if TYPE_CHECKING:
    import keras

    from zoo.layers.sound import Framing

__all__ = ["LPCC", "MFCC", "AbstractFramedSound", "AbstractMelSound", "LogMel"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractFramedSound(AbstractUnfittedFeature, AbstractSoundFeature):
    """Sound cut into overlapping frames, and `D` numbers of each.

    `tensor` int16, int32 or int64 [B, T] (divided by 32,768) or float32 [B, T] (within -1..1), with an optional
    `padding_mask` bool [B, T], becomes `frames` float32 [B, F, D] and `padding_mask` bool [B, F]. `tensor` and its mask
    leave the dictionary. Padded frames are zeros; a clip whose mask is all false has no frame.

    In the graph, a NaN, an infinity or a number beyond 1e9 raises `InvalidArgumentError`.

    Args:
        frame_ms: length of a frame.
        hop_ms: from the start of a frame to the start of the next.
        pre_emphasis: `a` of `y[t] = x[t] - a x[t-1]` over the clip, which lifts high frequencies; 0 leaves it out.
        window: "hann" or "hamming", of period `frame_ms`.
        deltas: 1 appends the change in time of each of the numbers, 2 the change of that too; `D` is
            `(1 + deltas)` times as wide. As `librosa.feature.delta` (9 frames, polynomials fitted at the ends), except
            for clips of fewer than 9 frames, which librosa refuses: here their first and last frames are repeated.
    """

    COSTLY: ClassVar = True
    RANDOM: ClassVar = False

    frame_ms: float = 25.0
    hop_ms: float = 10.0
    pre_emphasis: float = 0.97
    window: Literal["hann", "hamming"] = "hann"
    deltas: int = 0

    def __post_init__(self) -> None:
        if self.sample_rate_hz < 1:
            raise InvalidValueError("sample_rate_hz", "at least 1", self.sample_rate_hz)
        if self._frame_length < 2:
            raise InvalidValueError("frame_ms", f"two samples long or more at {self.sample_rate_hz} Hz", self.frame_ms)
        if self._hop_length < 1:
            raise InvalidValueError("hop_ms", f"a sample long or more at {self.sample_rate_hz} Hz", self.hop_ms)
        if not 0 <= self.pre_emphasis <= 1:
            raise InvalidValueError("pre_emphasis", "0 to 1", self.pre_emphasis)
        if self.window not in ("hann", "hamming"):
            raise InvalidValueError("window", "'hann' or 'hamming'", self.window)
        if self.deltas not in (0, 1, 2):
            raise InvalidValueError("deltas", "0, 1 or 2", self.deltas)
        self._check()

    @abc.abstractmethod
    def _check(self) -> None:
        """Raises `InvalidValueError` for the fields of its own."""

    @property
    def _frame_length(self) -> int:
        return round(self.frame_ms * self.sample_rate_hz / 1000)

    @property
    def _hop_length(self) -> int:
        return round(self.hop_ms * self.sample_rate_hz / 1000)

    def _framing(self) -> Framing:
        from zoo.layers.sound import Framing

        return Framing(
            frame_length=self._frame_length,
            hop_length=self._hop_length,
            pre_emphasis=self.pre_emphasis,
            window=self.window,
        )

    def reads(self) -> tuple[str, ...]:
        """Returns `tensor`; its mask is optional."""
        return (self.tensor,)

    def writes(self) -> tuple[str, ...]:
        """Returns `frames` and `padding_mask`."""
        return ("frames", "padding_mask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractMelSound(AbstractFramedSound):
    """Energies in bands that are equally wide on the mel scale.

    The power spectrum is that of the frame with zeros appended to a power of two. A band is a triangle over it, of
    area 1 Hz (librosa's `norm="slaney"`), and its energy's natural logarithm is taken, energies below 1e-10 as 1e-10.

    Args:
        num_mels: bands, each of which must hold a point of the spectrum.
        min_hz: where the lowest band begins.
        max_hz: where the highest ends; half the sample rate where None.
        mel_scale: "slaney" (linear to 1 kHz, then logarithmic) or "htk" (`2595 log10(1 + Hz / 700)`).
    """

    num_mels: int = 40
    min_hz: float = 20.0
    max_hz: float | None = None
    mel_scale: Literal["slaney", "htk"] = "slaney"

    def _check_bands(self) -> None:
        half = self.sample_rate_hz / 2
        top = half if self.max_hz is None else self.max_hz
        if self.mel_scale not in ("slaney", "htk"):
            raise InvalidValueError("mel_scale", "'slaney' or 'htk'", self.mel_scale)
        if not 0 < top <= half:
            raise InvalidValueError("max_hz", f"above 0 and at most half the sample rate, {half:g}", self.max_hz)
        if not 0 <= self.min_hz < top:
            raise InvalidValueError("min_hz", f"at least 0 and below max_hz, {top:g}", self.min_hz)
        if self.num_mels < 1:
            raise InvalidValueError("num_mels", "at least 1", self.num_mels)
        step = self.sample_rate_hz / (1 << (self._frame_length - 1).bit_length())
        edges = self._edges_hz()
        for low, high in zip(edges, edges[2:], strict=False):
            if (math.floor(low / step) + 1) * step >= high:
                raise InvalidValueError(
                    "num_mels",
                    f"so small that each band holds a point of the spectrum, {step:g} Hz apart with this frame_ms; "
                    f"{low:.0f} to {high:.0f} Hz holds none",
                    self.num_mels,
                )

    def _edges_hz(self) -> tuple[float, ...]:
        """Returns `num_mels + 2` frequencies, equally far apart in mel."""
        top = self.sample_rate_hz / 2 if self.max_hz is None else self.max_hz
        low, high = _mel_of_hz(self.min_hz, self.mel_scale), _mel_of_hz(top, self.mel_scale)
        step = (high - low) / (self.num_mels + 1)
        return tuple(_hz_of_mel(low + index * step, self.mel_scale) for index in range(self.num_mels + 2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMel(AbstractMelSound):
    """Log-mel energies: sound [B, T] -> `frames` float32 [B, F, D], `D` is `num_mels * (1 + deltas)`.

    With the defaults, at 16 kHz: [B, 16000] -> [B, 98, 80]. Natural logarithms, without pre-emphasis; fields as in
    `AbstractFramedSound` and `AbstractMelSound`.

    >>> LogMel(sample_rate_hz=8000, num_mels=40).writes()
    ('frames', 'padding_mask')
    """

    pre_emphasis: float = 0.0
    num_mels: int = 80

    def _check(self) -> None:
        self._check_bands()

    def layer(self) -> keras.Layer:
        """Returns the layer that makes `frames` of `tensor`."""
        from zoo.layers.sound import AnalyseSound, MelAnalysis

        analysis = MelAnalysis(self._edges_hz(), self.sample_rate_hz)
        return AnalyseSound(self.tensor, self._framing(), analysis, self.deltas, name="log_mel")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MFCC(AbstractMelSound):
    """Mel-frequency cepstra: sound [B, T] -> `frames` float32 [B, F, D], `D` is `num_coefficients * (1 + deltas)`.

    With the defaults, at 16 kHz: [B, 16000] -> [B, 98, 13]. The orthonormal DCT-II of natural log-mel energies, its
    first coefficient (the level) included, not liftered: Davis and Mermelstein, doi:10.1109/TASSP.1980.1163420.
    `librosa.feature.mfcc` takes decibels, `10 / ln(10)` times as large, and cuts them 80 dB below the clip's maximum.

    Args:
        num_coefficients: at most `num_mels`.

    >>> MFCC(sample_rate_hz=8000, deltas=2).reads()
    ('waveform',)
    """

    num_coefficients: int = 13

    def _check(self) -> None:
        self._check_bands()
        if not 1 <= self.num_coefficients <= self.num_mels:
            raise InvalidValueError("num_coefficients", f"1 to num_mels, {self.num_mels}", self.num_coefficients)

    def layer(self) -> keras.Layer:
        """Returns the layer that makes `frames` of `tensor`."""
        from zoo.layers.sound import AnalyseSound, MelAnalysis

        analysis = MelAnalysis(self._edges_hz(), self.sample_rate_hz, self.num_coefficients)
        return AnalyseSound(self.tensor, self._framing(), analysis, self.deltas, name="mfcc")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LPCC(AbstractFramedSound):
    """Linear prediction cepstra: sound [B, T] -> `frames` float32 [B, F, D], `D` is `num_coefficients * (1 + deltas)`.

    With the defaults, at 16 kHz: [B, 16000] -> [B, 98, 13]. The autocorrelation method with Levinson and Durbin's
    recursion, then the cepstrum of the filter `G / A(z)`, `ln G` first: Atal, doi:10.1121/1.1914702. Before the
    recursion, the energy of a frame is raised by 1e-5 of itself, white noise at -50 dB, and by 1e-10; the papers leave
    it as it is, and digital silence without an answer. A Hamming window.

    Args:
        order: `P`, the poles: two for each resonance, about one in a kHz, and a few for the rest; below the samples of
            a frame.
        num_coefficients: `ln G` and the cepstral coefficients from 1 on; may be more than the order.
    """

    window: Literal["hann", "hamming"] = "hamming"
    order: int = 16
    num_coefficients: int = 13

    def _check(self) -> None:
        if not 1 <= self.order < self._frame_length:
            raise InvalidValueError("order", f"1 to {self._frame_length - 1}, below a frame's samples", self.order)
        if self.num_coefficients < 1:
            raise InvalidValueError("num_coefficients", "at least 1", self.num_coefficients)

    def layer(self) -> keras.Layer:
        """Returns the layer that makes `frames` of `tensor`."""
        from zoo.layers.lpc import LPCAnalysis
        from zoo.layers.sound import AnalyseSound

        analysis = LPCAnalysis(self.order, self.num_coefficients)
        return AnalyseSound(self.tensor, self._framing(), analysis, self.deltas, name="lpcc")


# Slaney's scale: 15 mel at 1 kHz, and 27 more for each factor of 6.4.
_LINEAR_HZ, _LINEAR_MEL, _MEL_PER_NEPER = 1000.0, 15.0, 27 / math.log(6.4)


def _mel_of_hz(hz: float, scale: str) -> float:
    if scale == "htk":
        return 2595 * math.log10(1 + hz / 700)
    if hz < _LINEAR_HZ:
        return hz * _LINEAR_MEL / _LINEAR_HZ
    return _LINEAR_MEL + _MEL_PER_NEPER * math.log(hz / _LINEAR_HZ)


def _hz_of_mel(mel: float, scale: str) -> float:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    if mel < _LINEAR_MEL:
        return mel * _LINEAR_HZ / _LINEAR_MEL
    return _LINEAR_HZ * math.exp((mel - _LINEAR_MEL) / _MEL_PER_NEPER)
