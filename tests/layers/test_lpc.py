"""Linear prediction: SciPy's filters, and cepstra as the Fourier transform gives them."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import solve_toeplitz
from voice import voiced

from zoo.data import Packaged
from zoo.features.sound import LPCC
from zoo.layers.lpc import LPCAnalysis, autocorrelation, cepstrum, levinson_durbin

ORDER = 16


def windowed(waveform, pre_emphasis=0.97):
    """Returns float32 [N, 400]."""
    framing = LPCC(pre_emphasis=pre_emphasis)._framing()
    frames = framing.cut(tf.constant(waveform[None] / 32_768, tf.float32), None)
    return np.reshape(frames, (-1, 400))


def compare_with_scipy(frames):
    wide = frames.astype("float64")
    lags = np.stack([(wide[:, : 400 - lag] * wide[:, lag:]).sum(axis=1) for lag in range(ORDER + 1)], axis=1)
    ours = np.asarray(autocorrelation(tf.constant(frames), ORDER))
    np.testing.assert_allclose(ours, lags, atol=1e-6 * lags.max())
    lags[:, 0] = lags[:, 0] * (1 + 1e-5) + 1e-10
    expected = np.array([solve_toeplitz(row[:-1], -row[1:]) for row in lags])
    predictor, error = (np.asarray(value) for value in levinson_durbin(tf.constant(ours)))
    assert (predictor[0] == 1).all()
    np.testing.assert_allclose(predictor[1:].T, expected, atol=1e-4)
    np.testing.assert_allclose(error, lags[:, 0] + (lags[:, 1:] * expected).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("pre_emphasis", [0.97, 0.0])
def test_filters_are_scipys(pre_emphasis):
    compare_with_scipy(windowed(voiced(32_000), pre_emphasis))


@pytest.mark.slow
def test_filters_of_real_speech_are_scipys():
    for example in Packaged(name="pocketsphinx_speech").load("test").as_numpy_iterator():
        compare_with_scipy(windowed(example["waveform"]))


def test_a_known_filter_is_found():
    from scipy.signal import lfilter

    known = [1.0, -1.2, 0.8, -0.3]
    noise = np.random.default_rng(0).normal(size=60_000)
    lags = autocorrelation(tf.constant(np.reshape(lfilter([0.5], known, noise), (1, -1)), tf.float32), 3) / 60_000
    predictor, error = levinson_durbin(lags)
    np.testing.assert_allclose(predictor[:, 0], known, atol=0.02)
    np.testing.assert_allclose(error, 0.25, rtol=0.02)


@pytest.mark.parametrize("num_coefficients", [1, 2, 5, 6, 12])
def test_cepstrum_is_that_of_the_filter(num_coefficients):
    predictor = np.array([[1, -1.3, 0.9, -0.4, 0.2, 0.05], [1, 0.5, 0.1, 0, 0, 0]]).T
    error = np.array([4.0, 0.01])
    ours = np.asarray(cepstrum(tf.constant(predictor), tf.constant(error), num_coefficients))
    magnitude = np.sqrt(error)[:, None] / np.abs(np.fft.fft(predictor.T, 4_096))
    real = np.fft.ifft(np.log(magnitude)).real[:, :num_coefficients]
    real[:, 1:] *= 2  # the filter has minimum phase: the other half is at negative times
    np.testing.assert_allclose(ours, real, atol=1e-6)


def test_silence_and_a_sine_have_cepstra():
    sine = np.sin(np.arange(400)) * np.hanning(400)
    frames = tf.constant(np.stack([np.zeros(400), np.full(400, -1.0), sine, sine * 1e6]), tf.float32)
    out = np.asarray(LPCAnalysis(ORDER, 20)(frames))
    assert out.shape == (4, 20)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[0], [0.5 * np.log(1e-10)] + [0] * 19, atol=1e-6)
    np.testing.assert_allclose(out[3] - out[2], [np.log(1e6)] + [0] * 19, atol=1e-3)
