"""Linear prediction by the autocorrelation method, and its cepstrum.

A frame is taken for the output of an all-pole filter `G / A(z)`, `A(z) = 1 + a[1] z^-1 + ... + a[P] z^-P`.

Shape glossary: `N` frames, `L` samples of a frame, `P` order of the prediction, `D` cepstral coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.layers.sound import FLOOR, fft_length, power_spectrum

__all__ = ["LPCAnalysis", "autocorrelation", "cepstrum", "levinson_durbin"]

# White noise 50 dB below the frame keeps the equations from being singular. Those of speech are near enough to it that
# sums in float32 gave filters wrong by 0.2 and more; sums in float64, of a float32 spectrum, leave 4e-5.
_NOISE = 1e-5


class LPCAnalysis:
    """Cepstra of linear prediction.

    Args:
        order: `P`.
        num_coefficients: `D`.
    """

    def __init__(self, order: int, num_coefficients: int):
        self.order, self.num_coefficients = order, num_coefficients

    def __call__(self, frames):
        """Returns float32 [N, D] of windowed frames float32 [N, L]."""
        import tensorflow as tf

        predictor, error = levinson_durbin(autocorrelation(frames, self.order))
        return tf.cast(cepstrum(predictor, error, self.num_coefficients), tf.float32)


def autocorrelation(frames, order: int):
    """Returns float64 [N, P + 1], the sums of `x[t] x[t + lag]`, of float32 [N, L]; through the power spectrum."""
    import tensorflow as tf

    num_points = fft_length(frames.shape[-1] + order)  # no lag wraps round
    bins = np.arange(num_points // 2 + 1)[:, None]
    weights = np.cos(2 * np.pi * bins * np.arange(order + 1) / num_points) / num_points
    weights[1:-1] *= 2  # of all but the ends of a real spectrum there are two
    return tf.matmul(tf.cast(power_spectrum(frames, num_points), tf.float64), weights)


def levinson_durbin(lags: Any):
    """Returns the prediction filter `a` float64 [P + 1, N], `a[0] = 1`, and the energy of its error float64 [N].

    Solves the normal equations of `lags` float64 [N, P + 1], with lag 0 raised by 1e-5 of itself and by 1e-10.
    """
    import tensorflow as tf

    num_lags, lags = lags.shape[1], tf.transpose(lags)  # [P + 1, N]
    zero = lags[:1] * (1 + _NOISE) + FLOOR
    lags = tf.concat([zero, lags[1:]], axis=0)
    predictor, error = tf.ones_like(zero), zero
    for order in range(1, num_lags):
        # [1, N]: what the filter of one order less leaves unexplained at this lag
        rest = tf.reduce_sum(predictor * tf.reverse(lags[1 : order + 1], [0]), axis=0, keepdims=True)
        reflection = -rest / error
        longer = tf.pad(predictor, [[0, 1], [0, 0]])
        predictor = longer + reflection * tf.reverse(longer, [0])
        error = tf.maximum(error * (1 - tf.square(reflection)), FLOOR)
    return predictor, error[0]


def cepstrum(predictor, error, num_coefficients: int):
    """Returns the cepstrum of `G / A(z)`, float64 [N, D]: first `ln G`, half the logarithm of the error's energy.

    Args:
        predictor: float64 [P + 1, N].
        error: float64 [N], above 0.
        num_coefficients: `D`, which may be more than `P + 1`.
    """
    import tensorflow as tf

    order = predictor.shape[0] - 1
    rows = [0.5 * tf.math.log(error)]
    for n in range(1, num_coefficients):
        first = max(1, n - order)
        terms = [(k / n) * rows[k] * predictor[n - k] for k in range(first, n)]
        terms += [predictor[n]] if n <= order else []
        rows.append(-tf.add_n(terms))
    return tf.stack(rows, axis=1)
