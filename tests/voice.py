"""A voice made by a formula: pulses of a gliding pitch and some noise, through five resonances that move."""

import numpy as np


def voiced(num_samples: int, sample_rate_hz: int = 16_000, seed: int = 0) -> np.ndarray:
    """Returns int16 [num_samples]."""
    from scipy.signal import lfilter

    random = np.random.default_rng(seed)
    seconds = np.arange(num_samples) / sample_rate_hz
    turns = np.cumsum(120 + 40 * np.sin(2 * np.pi * 1.5 * seconds)) / sample_rate_hz
    sound = np.diff(np.floor(turns), prepend=0.0) + 0.02 * random.normal(size=num_samples)
    half = num_samples // 2
    for centre, width, shift in [(600, 80, 150), (1200, 90, -200), (2500, 120, 100), (3600, 160, 0), (5200, 250, 0)]:
        parts, state = [], np.zeros(2)
        for part, hz in ((sound[:half], centre), (sound[half:], centre + shift)):
            radius = np.exp(-np.pi * width / sample_rate_hz)
            poles = [1, -2 * radius * np.cos(2 * np.pi * hz / sample_rate_hz), radius**2]
            out, state = lfilter([1.0], poles, part, zi=state)
            parts.append(out)
        sound = np.concatenate(parts)
    sound = sound * (0.2 + np.sin(2 * np.pi * 0.7 * seconds) ** 2)
    return np.round(sound / np.abs(sound).max() * 20_000).astype("int16")
