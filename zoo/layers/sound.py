"""Sound to frames: cut, weighted by a window, analysed; what follows a clip's end takes no part.

Shape glossary: `B` batch, `T` samples, `F` frames of the longest clip, `L` samples of a frame, `M` mel bands,
`D` width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

__all__ = ["FLOOR", "AnalyseSound", "Framing", "MelAnalysis", "add_deltas", "mel_matrix", "power_spectrum"]

# Below the rounding noise of 16 bits in any band; digital silence is cut off here before the logarithm.
FLOOR = 1e-10
_LARGEST = 1e9
_DELTA_WIDTH = 9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framing:
    """How sound is cut: frame k begins at sample `k * hop_length`.

    Args:
        frame_length: samples of a frame, `L`.
        hop_length: samples from the start of a frame to the start of the next.
        pre_emphasis: `a` of `y[t] = x[t] - a x[t-1]`, computed over the whole clip; `x[-1]` is 0.
        window: "hann" or "hamming", of period `L`.
    """

    frame_length: int
    hop_length: int
    pre_emphasis: float
    window: str

    def num_frames(self, lengths: Any) -> Any:
        """Returns the frames of clips of int32 [B] samples: at least one, and none of a clip without a sample."""
        import tensorflow as tf

        whole = 1 + tf.maximum(0, lengths - self.frame_length) // self.hop_length
        return tf.where(lengths > 0, whole, 0)

    def cut(self, samples: Any, mask: Any) -> Any:
        """Returns windowed frames float32 [B, F, L] of samples float32 [B, T].

        Args:
            mask: bool [B, T], false in padding; None where there is none.
        """
        import tensorflow as tf

        if self.pre_emphasis:
            previous = tf.pad(samples[:, :-1], [[0, 0], [1, 0]])
            samples = samples - self.pre_emphasis * previous
            if mask is not None:
                samples = tf.where(mask, samples, 0.0)
        missing: Any = tf.maximum(0, self.frame_length - tf.shape(samples)[1])
        frames = tf.signal.frame(tf.pad(samples, [[0, 0], [0, missing]]), self.frame_length, self.hop_length)
        angle = 2 * np.pi * np.arange(self.frame_length) / self.frame_length
        share = {"hann": 0.5, "hamming": 0.54}[self.window]
        return frames * (share - (1 - share) * np.cos(angle)).astype("float32")


class AnalyseSound(keras.layers.Layer):
    """Replaces sound [B, T] in a dictionary by `frames` float32 [B, F, D] and `padding_mask` bool [B, F].

    The sound's own `padding_mask` bool [B, T] is optional and leaves with it. Integers are divided by 32,768. Padded
    frames are zeros. Sound that is not finite ends the graph with `InvalidArgumentError`.

    Args:
        tensor: name of the sound: int16, int32, int64 or float32.
        framing: how it is cut.
        analysis: windowed frames float32 [N, L] -> float32 [N, D].
        num_deltas: derivatives in time that are appended to the `D` values: 0, 1 or 2.
    """

    def __init__(self, tensor: str, framing: Framing, analysis: Callable[[Any], Any], num_deltas: int, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.framing, self.analysis, self.num_deltas = tensor, framing, analysis, num_deltas

    def call(self, tensors, training=False):
        import tensorflow as tf

        waveform = tf.convert_to_tensor(tensors[self.tensor])
        mask = tensors.get("padding_mask")
        samples, lengths = self._samples(waveform, mask)
        frames = self.framing.cut(samples, mask)  # [B, F, L]
        batch, num_frames = tf.shape(frames)[0], tf.shape(frames)[1]
        values = self.analysis(tf.reshape(frames, [-1, self.framing.frame_length]))  # [B * F, D]
        values = tf.reshape(values, tf.stack([batch, num_frames, values.shape[-1]]))
        counts = self.framing.num_frames(lengths)
        valid = tf.sequence_mask(counts, num_frames)  # [B, F]
        values = tf.where(tf.expand_dims(valid, -1), values, 0.0)
        if self.num_deltas:
            values = tf.where(tf.expand_dims(valid, -1), add_deltas(values, counts, self.num_deltas), 0.0)
        rest = {name: value for name, value in tensors.items() if name not in (self.tensor, "padding_mask")}
        return {**rest, "frames": values, "padding_mask": valid}

    def _samples(self, waveform, mask):
        """Returns float32 [B, T], zeros where the mask is false, and int32 [B], the samples up to the last true one."""
        import tensorflow as tf

        samples = tf.cast(waveform, tf.float32)
        if waveform.dtype.is_integer:
            samples = samples * (1 / 32_768)
        shape = tf.shape(samples)
        if mask is None:
            lengths = tf.fill(shape[:1], shape[1])
        else:
            samples = tf.where(mask, samples, 0.0)
            lengths = tf.reduce_max(tf.where(mask, tf.range(1, shape[1] + 1), 0), axis=1)
        if not waveform.dtype.is_integer:
            sane = tf.reduce_all(tf.abs(samples) <= _LARGEST)  # false for a NaN
            message = (
                f"`{self.tensor}` holds a NaN or an infinity, or a number beyond 1e9. Float32 sound lies in -1..1."
            )
            with tf.control_dependencies([tf.debugging.Assert(sane, [message])]):
                samples = tf.identity(samples)
        return samples, lengths


class MelAnalysis:
    """The natural logarithm of the energy in each mel band, and with `num_coefficients` its cepstrum by DCT-II.

    Args:
        edges_hz: [M + 2] rising frequencies: band m rises from number m to m + 1 and falls to m + 2.
        sample_rate_hz: of the sound.
        num_coefficients: `D`, the first ones of the orthonormal DCT-II over the bands; 0 leaves the `M` bands.
    """

    def __init__(self, edges_hz: Sequence[float], sample_rate_hz: int, num_coefficients: int = 0):
        self.edges_hz, self.sample_rate_hz = edges_hz, sample_rate_hz
        num_mels = len(edges_hz) - 2
        angle = np.pi / num_mels * (np.arange(num_mels)[:, None] + 0.5) * np.arange(num_coefficients)
        scale = np.where(np.arange(num_coefficients) == 0, np.sqrt(1 / num_mels), np.sqrt(2 / num_mels))
        self.cosines = (scale * np.cos(angle)).astype("float32")  # [M, D]

    def __call__(self, frames):
        """Returns float32 [N, M] or [N, D] of windowed frames float32 [N, L]."""
        import tensorflow as tf

        power = power_spectrum(frames, fft_length(frames.shape[-1]))
        bands = tf.matmul(power, mel_matrix(self.edges_hz, self.sample_rate_hz, 2 * (power.shape[-1] - 1)))
        logarithms = tf.math.log(tf.maximum(bands, FLOOR))  # [N, M]
        return tf.matmul(logarithms, self.cosines) if self.cosines.shape[1] else logarithms


def fft_length(num_samples: int) -> int:
    """Returns the smallest power of two that is at least `num_samples`.

    >>> fft_length(400)
    512
    """
    return 1 << (num_samples - 1).bit_length()


def power_spectrum(frames, num_points: int):
    """Returns float32 [N, num_points / 2 + 1] of float32 [N, L], zeros appended to `num_points`."""
    import tensorflow as tf

    spectrum = tf.signal.rfft(frames, [num_points])
    return tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))


def mel_matrix(edges_hz: Sequence[float], sample_rate_hz: int, num_points: int) -> np.ndarray:
    """Returns triangles of area 1 Hz in frequency, float32 [num_points / 2 + 1, M]."""
    hz = np.arange(num_points // 2 + 1)[:, None] * sample_rate_hz / num_points
    low, centre, high = np.asarray(edges_hz[:-2]), np.asarray(edges_hz[1:-1]), np.asarray(edges_hz[2:])
    triangles = np.maximum(0, np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)))
    return (triangles * 2 / (high - low)).astype("float32")


def add_deltas(frames, counts, num_deltas: int):
    """Appends derivatives in time: float32 [B, F, D] -> float32 [B, F, D * (1 + num_deltas)].

    The n-th is that of the polynomial of degree n that fits 9 frames best (Savitzky-Golay), as `librosa.feature.delta`
    has it. Towards both ends of a clip it is that of the clip's first or last 9 frames. In a clip of fewer frames,
    which librosa refuses, its first and its last frame are thought repeated.

    Args:
        frames: zeros, or anything finite, beyond a clip's end.
        counts: int32 [B], the frames of each clip.
        num_deltas: 1 or 2.
    """
    import tensorflow as tf

    half, total = _DELTA_WIDTH // 2, tf.shape(frames)[1]
    last = tf.maximum(counts - 1, 0)[:, None]  # [B, 1]
    ends = tf.maximum(tf.minimum(tf.range(-half, total + half), last), 0)  # [B, F + 8]
    repeated = tf.gather(frames, ends, axis=1, batch_dims=1)
    first = tf.where(last >= _DELTA_WIDTH - 1, half, 0)
    inner = tf.maximum(tf.minimum(tf.range(total), last - first), first)  # [B, F]
    parts = [frames]
    for order in range(1, num_deltas + 1):
        slopes = tf.add_n([float(w) * repeated[:, k : k + total] for k, w in enumerate(_slope_weights(order))])
        parts.append(tf.gather(slopes, inner, axis=1, batch_dims=1))
    return tf.concat(parts, axis=-1)


def _slope_weights(order: int) -> np.ndarray:
    """Returns [9] weights of frames whose sum is the derivative of `order` of the best polynomial of that degree."""
    half = _DELTA_WIDTH // 2
    powers = np.vander(np.arange(-half, half + 1), order + 1, increasing=True)
    return np.linalg.pinv(powers)[order] * order  # factorial of 1 or 2
