"""The bench of compressed artifacts on a tiny model: rows that hold what stands on disk, work that is done once."""

import dataclasses

import descriptors
import pytest

from zoo.benchmarks.artifact import ArtifactBench, is_bit_exact
from zoo.benchmarks.fresh import measure_fresh
from zoo.benchmarks.rows import Compressed, Target, summarised
from zoo.benchmarks.targets import TARGETS
from zoo.config import list_configs
from zoo.exporting import measure
from zoo.registry import RECIPES

TARGET = Target(recipe="pruned_clustered", overrides=("epochs=1", "transforms.0.sparsity=0.5"), times=2, points=1)


def fake_measure(paths, *, examples=None, calls=200):
    """Stands for the process that measures: bytes are real, the second directory is twice as slow as the first."""
    assert examples is not None
    assert set(examples) == {"image"}
    return [
        measure.Measured(measure.bytes_of(path), measure.gzip_bytes_of(path), 1.0, 2.0, 1.0 + number, 10.0 + number)
        for number, path in enumerate(paths)
    ]


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


@pytest.fixture
def experiment():
    tiny = descriptors.MODELS["conv2d"]["dense"].experiment()
    return dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, epochs=1))


def test_rows_hold_what_stands_on_disk_and_nothing_is_done_twice(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "measure", fake_measure)
    said = []
    bench = ArtifactBench(tmp_path, said.append)
    row, untrained = bench.compressed(experiment, TARGET, 0), bench.untrained(experiment)

    packed = only(tmp_path / "models", "tiny-0-*-pruned_clustered-*-packed/1")
    assert row.bytes == sum(path.stat().st_size for path in packed.rglob("*") if path.is_file())
    parameters = experiment.model.build().count_params()
    assert row.float_bytes == untrained.float_bytes == 4 * parameters
    assert row.times == round(4 * parameters / row.bytes, 2)
    assert row.lost_points == pytest.approx(100 * (row.dense - row.compressed), abs=1e-3)
    assert (row.figure, row.p50_ratio_1, row.p50_ratio_32) == ("accuracy", 2.0, 1.1)
    assert untrained.is_bit_exact
    assert untrained.packed_bytes < untrained.keras_export_bytes / 2
    assert untrained.int8_of_float == round(untrained.int8_bytes / untrained.float_bytes, 3)
    assert (untrained.int8_p50_ratio_1, untrained.int8_p50_ratio_32) == (3.0, 1.2)

    changed = experiment.model.build()
    assert not is_bit_exact(changed, only(tmp_path / "models", "tiny-0-????????-packed/1"))

    del said[:]
    assert bench.compressed(experiment, TARGET, 0) == row
    assert [line for line in said if "measuring" not in line] == []
    other = dataclasses.replace(TARGET, overrides=(*TARGET.overrides, "transforms.1.num_clusters=4"))
    assert bench.compressed(experiment, other, 0).bytes < row.bytes
    assert any("compression" in line for line in said)


def test_fresh_weights_of_a_family_are_measured_without_data(experiment, monkeypatch):
    def measured(paths):
        return [
            measure.Measured(measure.bytes_of(path), 1, 1.0, 2.0, 1.0 + n, 10.0 + n) for n, path in enumerate(paths)
        ]

    monkeypatch.setattr(measure, "measure", measured)
    row = measure_fresh(dataclasses.replace(experiment, data=descriptors.SOURCES["tfds"]))
    assert row.is_bit_exact
    assert row.packed_of_export == round(row.packed_bytes / row.keras_export_bytes, 3) < 0.5
    assert (row.int8_p50_ratio_1, row.int8_p50_ratio_32) == (3.0, 1.2)


def test_means_over_seeds_are_held_against_the_target():
    def row(seed, times, lost):
        names = [field.name for field in dataclasses.fields(Compressed)]
        values = {**dict.fromkeys(names, 1), "config": "a", "seed": seed, "times": times, "lost_points": lost}
        return Compressed(**values)

    good, bad = (
        summarised([row(0, 3.0, 0.5), row(1, 2.0, 1.5)], {"a": TARGET}),
        summarised([row(0, 3, 1.1)], {"a": TARGET}),
    )
    assert (good[0].times, good[0].lost_points, good[0].lost_points_range) == (2.5, 1.0, (0.5, 1.5))
    assert (good[0].is_met, bad[0].is_met) == (True, False)
    assert not summarised([row(0, 1.9, 0.0)], {"a": TARGET})[0].is_met


def test_every_target_is_of_a_config_and_a_recipe():
    assert set(TARGETS) <= set(list_configs())
    assert {target.recipe for target in TARGETS.values()} <= set(RECIPES)
