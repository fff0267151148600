"""Latencies of both exports of one model, and the table of families that `zoo bench` measures."""

import descriptors
import pytest

from zoo import registry
from zoo.cli.bench import FAMILIES
from zoo.config import find_config
from zoo.errors import InvalidValueError
from zoo.exporting.benchmark import measure_signatures


def test_both_exports_are_timed_at_both_batch_sizes():
    one, many = measure_signatures(descriptors.MODELS["conv1d"]["average"].model.build(), calls=100)
    assert (one.batch, many.batch) == (1, 32)
    for latency in (one, many):
        assert 0 < latency.zoo_p50_ms <= latency.zoo_p99_ms
        assert 0 < latency.keras_p50_ms <= latency.keras_p99_ms
        assert latency.ratio == pytest.approx(latency.zoo_p50_ms / latency.keras_p50_ms, abs=0.002)


def test_too_few_calls_are_refused():
    with pytest.raises(InvalidValueError, match="calls"):
        measure_signatures(descriptors.MODELS["conv1d"]["average"].model.build(), calls=99)


def test_every_family_is_measured_by_a_config_of_its_own():
    assert set(FAMILIES) == set(registry.MODELS)
    for family, config in FAMILIES.items():
        assert registry.name_of(registry.MODELS, type(find_config(config).model)) == family
