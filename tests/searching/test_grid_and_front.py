"""What is tried, in which order and from what, and what beats what."""

import pytest

from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.errors import InvalidValueError, RunDirectoryError
from zoo.searching.front import Point, front
from zoo.searching.grid import DENSE, Grid, Setting, between, parent_of
from zoo.searching.plot import pareto_svg
from zoo.searching.record import Record

GRID = Grid(bits=("int8",), values=(16,), sparsities=(0.9, 0.5), channels=(0.4, 0.2))


def point(name, value, size, p50: float | None = 1.0, **fields):
    return Point(name=name, transforms=name, value=value, loss=1 - value, bytes=size, p50_ms_1=p50, **fields)


def test_each_point_of_the_grid_goes_on_from_one_before_it():
    done = [DENSE]
    for setting in Grid().settings():
        assert parent_of(setting, done) in done
        done.append(setting)
    assert len(done) == len(set(done))


def test_cheap_points_come_first_and_each_kind_in_turn():
    epochs = [GRID.recipe(setting, DENSE).num_epochs() for setting in GRID.settings()]
    assert epochs[0] == 0
    assert GRID.settings()[0] == Setting(bits="int8")
    assert [one.slug() for one in GRID.settings()] == [
        "int8",
        "values16",
        "sparsity0.5",
        "sparsity0.5-int8",
        "sparsity0.5-values16",
        "channels0.2",
        "channels0.2-int8",
        "sparsity0.9",
        "sparsity0.9-int8",
        "sparsity0.9-values16",
        "channels0.4",
        "channels0.4-int8",
    ]


def test_recipes_go_on_from_the_parent():
    (pruning,) = GRID.recipe(Setting(sparsity=0.9), Setting(sparsity=0.5)).transforms
    assert isinstance(pruning, Prune)
    assert (pruning.initial_sparsity, pruning.sparsity) == (0.5, 0.9)
    (channels,) = GRID.recipe(Setting(channels=0.5), Setting(channels=0.2)).transforms
    assert isinstance(channels, PruneChannels)
    assert channels.sparsity == pytest.approx(1 - 0.5 / 0.8)
    assert GRID.recipe(Setting(sparsity=0.9, bits="int8"), Setting(sparsity=0.9)).num_epochs() == 0


def test_every_training_takes_the_steps_that_it_needs():
    grid = Grid(min_steps=500)
    trained = [Setting(sparsity=0.6), Setting(channels=0.25), Setting(values=16)]
    assert [grid.recipe(setting, DENSE).num_epochs(10) for setting in trained] == [50, 50, 50]


def test_a_grid_of_impossible_values_is_refused():
    with pytest.raises(InvalidValueError, match="sparsity"):
        Grid(sparsities=(1.0,))
    with pytest.raises(InvalidValueError, match="num_clusters"):
        Grid(values=(1,))
    with pytest.raises(InvalidValueError, match="epochs"):
        Grid(epochs=0)


@pytest.mark.parametrize(
    ("one", "other", "middle"),
    [
        (Setting(sparsity=0.5, values=32), Setting(sparsity=0.98, values=8), Setting(sparsity=0.9, values=16)),
        (Setting(bits="int8"), Setting(sparsity=0.75, values=16), Setting(sparsity=0.5, values=16)),
        (DENSE, Setting(channels=0.4, bits="int8"), Setting(channels=0.2, bits="int8")),
        (Setting(values=16), Setting(values=17), None),
        (DENSE, DENSE, None),
    ],
)
def test_between(one, other, middle):
    assert between(one, other) == middle


def test_front_keeps_what_nothing_beats():
    points = [
        point("best", 0.99, 1000),
        point("smaller", 0.98, 500),
        point("worse and larger", 0.97, 600),
        point("worse and larger but faster", 0.97, 600, 0.5),
        point("worse and larger and hardly faster", 0.96, 600, 0.95),
    ]
    assert [one.name for one in front(points, "max")] == ["best", "smaller", "worse and larger but faster"]


def test_front_of_an_error_rate_and_without_latency():
    points = [point("a", 0.2, 900, None), point("b", 0.3, 900, None), point("c", 0.3, 100, None)]
    assert [one.name for one in front(points, "min")] == ["a", "c"]
    assert [one.name for one in front(points, "max")] == ["c"]


def test_equals_stay_both():
    points = [point("a", 0.9, 100), point("b", 0.9, 100, 1.05)]
    assert front(points, "max") == points


def test_record_is_read_again_and_belongs_to_one_search(tmp_path):
    record = Record(tmp_path / "s", {"source": "a", "grid": {"values": (1, 2)}})
    record.points.append(point("001", 0.9, 10, setting=Setting(bits="int8"), parent=DENSE))
    record.references.append(point("dense", 0.95, 100))
    record.refused["channels0.2"] = "none"
    record.refinements.append(Setting(sparsity=0.7))
    record.write()
    again = Record(tmp_path / "s", {"source": "a", "grid": {"values": (1, 2)}})
    assert again.document() == record.document()
    assert again.points == record.points
    assert again.refinements == [Setting(sparsity=0.7)]
    assert again.settings() == [DENSE, Setting(bits="int8")]
    with pytest.raises(RunDirectoryError, match="another search: its `source` is 'a', not 'b'"):
        Record(tmp_path / "s", {"source": "b", "grid": {"values": (1, 2)}})
    (tmp_path / "s" / "search.json").write_text("{")
    with pytest.raises(RunDirectoryError, match="no JSON document"):
        Record(tmp_path / "s", {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunDirectoryError, match="holds no search"):
        Record(tmp_path / "other", {})


@pytest.mark.parametrize("mode", ["max", "min"])
def test_plot_is_one_picture_that_names_the_front_and_the_dense_model(mode):
    points = [
        point("one", 0.9, 1000, on_front=True, setting=Setting(sparsity=0.9, values=16)),
        point("two", 0.8, 2000, 0.9, on_front=False, setting=Setting(bits="int8")),
    ]
    dense = [point("dense, packed", 0.95, 9000, on_front=True)]
    svg = pareto_svg(points, dense, figure="accuracy", mode=mode, title="a & b")
    assert svg.count("<svg") == 1
    assert "<!-- sparsity0.9-values16 -->" in svg
    assert "<!-- dense, packed -->" in svg
    assert "<!-- int8 -->" not in svg
    assert 'href="http' not in svg.replace("http://www.w3.org", "")
