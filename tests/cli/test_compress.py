"""`zoo compress`: what is wrong use, and what people and programs are told."""

import json
import sys

import descriptors
import pytest

from zoo.cli import main
from zoo.exporting.measure import Measured
from zoo.searching import search
from zoo.training.loop import train


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    descriptor, *_ = descriptors.MODELS["mlp"].values()
    return train(descriptor.experiment(epochs=1, batch_size=8), tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture
def zoo(capsys):
    def run(*arguments):
        """Runs a command in this process; returns its exit status, its output and its messages."""
        with pytest.raises(SystemExit) as done:
            sys.exit(main([str(argument) for argument in arguments]))  # a command that is done just returns
        out, err = capsys.readouterr()
        return done.value.code or 0, out, err

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Give either `--recipe NAME`"),
        (("--search", "--recipe", "tiny"), "Give either `--recipe NAME`"),
        (("--recipe", "tinny"), "Did you mean 'tiny'"),
        (("--recipe", "tiny", "--max-loss", "-0.1"), "`max_loss` must be 0 or more"),
        (("--recipe", "tiny", "--set", "max_loss=-0.1"), "`max_loss` must be 0 or more"),
        (("--recipe", "tiny", "--set", "epoch=3"), "Did you mean 'epochs'"),
        (("--recipe", "pruned", "--max-loss", "-1"), "`max_loss` must be 0 or more"),
        (("--recipe", "tiny", "--points", "3"), "belong to `--search`"),
        (("--recipe", "tiny", "--budget-minutes", "3"), "belong to `--search`"),
        (("--search", "--max-loss", "0.1"), "belongs to a recipe"),
        (("--search", "--points", "0"), "`points` must be at least 1"),
        (("--search", "--budget-minutes", "0"), "`budget_minutes` must be above 0"),
        (("--search", "--set", "sparsities=[2]"), "`sparsity` must be at least 0"),
        (("--recipe", "pruned", "--validation", "test"), "test data must not choose"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use(zoo, dense, tmp_path, options, message):
    status, out, err = zoo("compress", dense, "--run-dir", tmp_path / "out", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_recipe_tells_what_it_chose_for_each_layer(zoo, dense, tmp_path):
    options = ("--recipe", "clustered", "--max-loss", "1", "--set", "epochs=1", "--set", "transforms.0.num_clusters=8")
    status, out, err = zoo("compress", dense, "--run-dir", tmp_path / "out", *options)
    assert status == 0
    assert "rung 1: Cluster 8: accuracy" in err
    assert "about 0 s left" in err
    (row,) = (line for line in out.splitlines() if "dense1/kernel" in line)
    about = json.loads((tmp_path / "out" / "metrics.json").read_text())["compression"]
    weight = about["weights"]["dense1/kernel"]
    assert row.replace(" ", "").strip("│").split("│") == [
        "dense1/kernel",
        "x".join(map(str, weight["shape"])),
        f"{weight['sparsity']:.1%}",
        "8",
        "3",
        f"{weight['about_bytes']:,}",
    ]
    assert about["recipe"] == "clustered"


def test_a_budget_that_cannot_be_kept_ends_with_1(zoo, dense, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.training.budget.Budget.holds", lambda self, value: False)
    options = ("--recipe", "edge", "--set", "epochs=1")
    status, out, err = zoo("compress", dense, "--run-dir", tmp_path / "out", *options)
    assert (status, out) == (1, "")
    assert "nothing was written. Tried: FoldBatchNorm, QuantizeAware int8: 0." in err
    assert not (tmp_path / "out").exists()


def test_a_search_prints_one_document(zoo, dense, tmp_path, monkeypatch):
    def fake(paths, examples):
        return [Measured(1, 1, 1.0, 1.0, 0.5, 1.0) for _ in paths]

    monkeypatch.setattr(search, "measure", fake)
    options = ("--search", "--points", "1", "--set", "epochs=1", "--set", "min_steps=0")
    status, out, err = zoo("compress", dense, "--run-dir", tmp_path / "out", *options, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document == json.loads((tmp_path / "out" / "search.json").read_text())
    assert [point["name"] for point in document["points"]] == ["001-int8"]
    status, out, err = zoo("compress", dense, "--run-dir", tmp_path / "out", *options)
    assert status == 0
    assert "0.500 ms" in out
    monkeypatch.chdir(tmp_path)
    suggested = err.split("Next: zoo ")[1].replace("POINT", "001-int8").replace("NAME", "digits").split()
    status, _, err = zoo(*suggested)
    assert status == 0, err
    assert (tmp_path / "models" / "digits" / "1" / "saved_model.pb").is_file()
