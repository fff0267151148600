"""A search on made-up data: points that are runs, a front, going on after a cut, a budget of time and points."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import descriptors
import numpy as np
import pytest
import tensorflow as tf

from zoo.config import Splits, apply_overrides
from zoo.errors import CompressionError, InvalidValueError, RunDirectoryError, UnknownNameError, UsageError
from zoo.exporting.export import export_run
from zoo.exporting.measure import Measured
from zoo.exporting.measure_engines import SavedModel
from zoo.reporting.report import run_section
from zoo.searching import search
from zoo.searching.front import Point
from zoo.searching.grid import Grid
from zoo.searching.record import Record
from zoo.searching.search import search_run
from zoo.training.loop import train
from zoo.training.run_directory import RunDirectory

_MLP, *_ = descriptors.MODELS["mlp"].values()
TINY = apply_overrides(_MLP.experiment(epochs=6, batch_size=8, learning_rate=5e-3), ["model.units=32,16"])
GRID = Grid(
    bits=("int8",), values=(8,), sparsities=(0.5,), channels=(), epochs=1, min_steps=0, ending_epochs=1, refinements=1
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(TINY, tmp_path_factory.mktemp("runs") / "tiny")


def measured(paths, examples):
    """Stands in for the measuring process: the larger, the slower."""
    sizes = [sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in paths]
    return [Measured(size, size, 1.0, 1.0, size / 1e4, size / 1e3) for size in sizes]


def test_every_point_is_a_run_and_a_version(run, tmp_path, capsys):
    folder = tmp_path / "search"
    grid = Grid(
        bits=(), values=(8,), sparsities=(0.5,), channels=(), epochs=1, min_steps=0, ending_epochs=1, refinements=0
    )
    document = search_run(run.path, folder, grid, measuring=measured)
    assert json.loads((folder / "search.json").read_text()) == json.loads(json.dumps(document))
    assert [point["name"] for point in document["points"]] == [
        "001-values8",
        "002-sparsity0.5",
        "003-sparsity0.5-values8",
    ]
    assert [point["name"] for point in document["references"]] == ["dense", "keras_export"]
    assert document["references"][0]["value"] == run.metrics()["validation"]["accuracy"]
    assert any(point["on_front"] for point in document["points"])
    assert not document["references"][1]["on_front"]
    assert (folder / "pareto.svg").read_text().count("<svg") == 1
    assert "3 points stand, 0 of the grid to come" in capsys.readouterr().err

    last = RunDirectory.open(folder / "points" / "003-sparsity0.5-values8")
    about = last.metrics()["compression"]
    assert about["weights"]["dense1/kernel"]["sparsity"] > 0.3
    assert about["weights"]["dense1/kernel"]["distinct_values"] <= 8
    assert about["transforms"] == "Prune 0.5, FoldBatchNorm, Cluster 8"
    assert about["value"] == last.metrics()["validation"]["accuracy"] == document["points"][2]["value"]
    assert run_section(last).rows
    assert export_run(last.path, tmp_path / "models", name="m").path.is_dir()
    signature = tf.saved_model.load(str(folder / "models" / last.path.name / "1")).signatures["serving_default"]
    assert "probabilities" in signature(image=tf.zeros([1, 12, 12, 1], tf.uint8))


def test_all_is_measured_with_the_same_real_examples_and_answers_the_same_names(run, tmp_path):
    asked = []

    def asking(paths, examples):
        engines = [SavedModel(path) for path in paths]
        assert all([(spec.name, spec.dtype) for spec in one.specs()] == [("image", "uint8")] for one in engines)
        asked.append({path.parent.name: one.call(examples) for path, one in zip(paths, engines, strict=True)})
        held_out = TINY.data.load(TINY.splits.validation or "").as_numpy_iterator()
        images = np.stack([example["image"] for example in held_out])[:32]
        np.testing.assert_array_equal(examples["image"], images)
        return measured(paths, examples)

    grid = Grid(bits=("int8",), values=(), sparsities=(), channels=(), refinements=0)
    search_run(run.path, tmp_path / "search", grid, measuring=asking)
    (answers,) = asked
    assert sorted(answers) == ["001-int8", "dense", "keras_export"]
    dense, by_keras = answers["dense"], answers["keras_export"]
    assert sorted(dense) == sorted(by_keras) == sorted(answers["001-int8"])
    np.testing.assert_allclose(by_keras["probabilities"], dense["probabilities"], atol=1e-5)


class MadeUp:
    """Stands in for a workshop: nothing is trained or exported, a point is what its setting says."""

    def __init__(self, source, *, validation=None):
        self.run = RunDirectory.open(source)
        self.experiment = self.run.experiment()
        self.start = SimpleNamespace(model=SimpleNamespace(input={"image": None}))
        self.steps_per_epoch = 10

    def check(self, recipe):
        pass

    def scores(self, candidate):
        return {"accuracy": 0.99}


@pytest.fixture
def made(monkeypatch):
    """Returns the slugs of the points that were made, in order."""
    slugs = []

    def references(self):
        if not self._record.references:
            dense = Point(name="dense", transforms="dense, packed", value=0.99, loss=0.0, bytes=100_000)
            self._record.references = [dense]
            self._record.write()

    def point(self, name, setting, parent):
        slugs.append(setting.slug())
        (self._path("points", name)).mkdir(parents=True)
        left = (1 - setting.sparsity) * (0.2 if setting.values or setting.bits else 1.0)
        value = 0.99 - 0.02 * setting.sparsity**4 - (0.01 if setting.values else 0.0)
        return Point(
            name=name,
            transforms=setting.slug(),
            value=value,
            loss=0.99 - value,
            bytes=round(100_000 * left),
            setting=setting,
            parent=parent,
        )

    monkeypatch.setattr(search, "Workshop", MadeUp)
    monkeypatch.setattr(search._Search, "make_references", references)
    monkeypatch.setattr(search._Search, "_made", point)
    return slugs


def alike(paths, examples):
    return [Measured(1, 1, 1.0, 1.0, 1.0, 1.0) for _ in paths]


def test_a_search_goes_on_where_it_was_cut_off(run, tmp_path, made, monkeypatch):
    folder, make = tmp_path / "search", search._Search._made

    def cut_off(self, name, setting, parent):
        make(self, name, setting, parent)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        search_run(run.path, folder, GRID, max_points=2, measuring=alike)
        patch.setattr(search._Search, "_made", cut_off)
        with pytest.raises(KeyboardInterrupt):
            search_run(run.path, folder, GRID, measuring=alike)
    assert made == ["int8", "values8", "sparsity0.5"]
    assert (folder / "points" / "003-sparsity0.5").is_dir()  # written, but not in the record
    document = search_run(run.path, folder, GRID, max_points=5, measuring=alike)
    assert made[3:] == ["sparsity0.5", "sparsity0.5-int8", "sparsity0.5-values8"]
    assert [point["name"][:3] for point in document["points"]] == ["001", "002", "003", "004", "005"]


def test_points_between_neighbours_of_the_front_come_last(run, tmp_path, made):
    document = search_run(run.path, tmp_path / "search", GRID, measuring=alike)
    assert made[:5] == ["int8", "values8", "sparsity0.5", "sparsity0.5-int8", "sparsity0.5-values8"]
    assert made[5:] == ["sparsity0.2929", "sparsity0.2929-int8"]  # what it goes on from, and one refinement
    assert document["points"][6]["parent"] == {"channels": 0.0, "sparsity": 0.2929, "values": 0, "bits": None}
    made.clear()
    search_run(run.path, tmp_path / "search", GRID, measuring=alike)
    assert made == []


def test_refinements_that_need_no_rounding_count_as_well(run, tmp_path, made):
    grid = Grid(bits=(), values=(), sparsities=(0.5, 0.9), channels=(), refinements=3)
    document = search_run(run.path, tmp_path / "search", grid, max_points=3, measuring=alike)
    assert len(document["refinements"]) == 1
    document = search_run(run.path, tmp_path / "search", grid, measuring=alike)
    assert made[:2] == ["sparsity0.5", "sparsity0.9"]
    assert made[2:] == [search.Setting(**setting).slug() for setting in document["refinements"]]
    assert len(made) == 5


def test_a_refinement_that_is_refused_counts_and_one_begun_is_gone_on_with(run, tmp_path, made, monkeypatch):
    make = search._Search._made

    def refusing(self, name, setting, parent):
        point = make(self, name, setting, parent)
        if setting.values and setting.sparsity not in (0.0, 0.5):
            raise CompressionError("It shares badly.")
        return point

    monkeypatch.setattr(search._Search, "_made", refusing)
    grid = Grid(bits=(), values=(8,), sparsities=(0.5,), channels=(), refinements=2)
    document = search_run(run.path, tmp_path / "search", grid, measuring=alike)
    chosen = [search.Setting(**setting).slug() for setting in document["refinements"]]
    assert len(chosen) == 2
    done = {*document["refused"], *(point["name"][4:] for point in document["points"])}
    assert done >= set(chosen)
    assert set(chosen) & set(document["refused"])


def test_time_of_a_point_counts_the_epochs_that_its_steps_need(run, tmp_path):
    grid = Grid(bits=(), values=(8,), sparsities=(0.5,), channels=(), epochs=1, min_steps=400, refinements=0)
    shop: Any = MadeUp(run.path)
    searcher = search._Search(shop, Record(tmp_path / "s", {}), grid)
    assert searcher._epochs_of(search.Setting(sparsity=0.5)) == 40  # ten steps each
    assert searcher._epochs_of(search.Setting(values=8)) == 40


def test_no_point_is_begun_that_would_end_too_late(run, tmp_path, made, monkeypatch, capsys):
    monkeypatch.setattr(search._Search, "_seconds_of", lambda self, setting: 30.0 * len(self._record.points))
    search_run(run.path, tmp_path / "search", GRID, budget_minutes=0.4, measuring=alike)
    assert made == ["int8"]
    assert "no time is left for values8, about 30 s" in capsys.readouterr().err


def test_what_cannot_be_made_is_noted_and_left_out(run, tmp_path, made, monkeypatch):
    make = search._Search._made

    def refusing(self, name, setting, parent):
        point = make(self, name, setting, parent)
        if setting.channels:
            raise CompressionError("It has no channels to remove.")
        return point

    monkeypatch.setattr(search._Search, "_made", refusing)
    grid = Grid(bits=("int8",), values=(), sparsities=(), channels=(0.5,), refinements=0)
    document = search_run(run.path, tmp_path / "search", grid, measuring=alike)
    assert [point["name"] for point in document["points"]] == ["001-int8"]
    assert [path.name for path in (tmp_path / "search" / "points").iterdir()] == ["001-int8"]
    assert document["refused"]["channels0.5"] == "It has no channels to remove."
    assert "goes on from channels0.5" in document["refused"]["channels0.5-int8"]
    made.clear()
    search_run(run.path, tmp_path / "search", grid, measuring=alike)
    assert made == []


def test_refused_before_any_work(run, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("began")

    monkeypatch.setattr(search, "Workshop", never)
    with pytest.raises(InvalidValueError, match="`points` must be at least 1"):
        search_run(run.path, tmp_path / "s", GRID, max_points=0)
    with pytest.raises(InvalidValueError, match="`budget_minutes` must be above 0"):
        search_run(run.path, tmp_path / "s", GRID, budget_minutes=0.0)
    with pytest.raises(RunDirectoryError, match="holds no search"):
        search_run(run.path, run.path, GRID)
    unvalidated = RunDirectory.create(tmp_path / "whole", dataclasses.replace(TINY, splits=Splits()))
    with pytest.raises(UsageError, match="no validation split"):
        search_run(unvalidated.path, tmp_path / "s", GRID)
    assert not (tmp_path / "s").exists()


def test_another_search_and_another_dense_model_are_refused(run, tmp_path):
    record = Record(tmp_path / "search", {"source": "another"})
    record.write()
    with pytest.raises(RunDirectoryError, match="another search: its `source` is 'another'"):
        search_run(run.path, tmp_path / "search", GRID, measuring=measured)
    record = Record(tmp_path / "same", search.about(run.experiment(), run.path, GRID, None))
    record.references.append(Point(name="dense", transforms="", value=0.5, loss=0.0, bytes=1))
    record.write()
    with pytest.raises(RunDirectoryError, match=r"is another model than when .* was 0\.5"):
        search_run(run.path, tmp_path / "same", GRID, measuring=measured)


def test_fields_of_the_grid_may_be_set():
    grid = apply_overrides(Grid(), ["sparsities=[0.7,0.9]", "epochs=2", 'bits=["int4"]'])
    assert (grid.sparsities, grid.epochs, grid.bits) == ((0.7, 0.9), 2, ("int4",))
    with pytest.raises(UnknownNameError, match="sparsities"):
        apply_overrides(Grid(), ["sparsitys=[0.7]"])


@pytest.mark.slow
def test_latencies_are_measured_side_by_side(run, tmp_path):
    grid = Grid(bits=("int8",), values=(), sparsities=(), channels=(0.3,), epochs=1, min_steps=0, refinements=0)
    document = search_run(run.path, tmp_path / "search", grid)
    everything = [*document["references"], *document["points"]]
    assert len(everything) == 5
    assert all(point["p50_ms_1"] > 0 for point in everything)
