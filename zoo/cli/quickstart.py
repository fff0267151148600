"""`zoo quickstart`: from data to an answered request, every step a command that a user could type."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow
from zoo.errors import UsageError, ZooError

if TYPE_CHECKING:
    import numpy as np

    from zoo.training.evaluation import Evaluation

__all__ = ["quickstart"]

_TOLERANCE = 1e-5
_BENCH_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class _Served:
    """One row of the table: a model behind the server, and how it answered."""

    what: str
    name: str
    version: int
    accuracy: float
    bytes: int
    p50_ms: float
    requests_per_s: float
    max_difference: float


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("quickstart"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def quickstart(folder: Path, as_json: bool) -> None:
    """Train, compress, export, serve and ask a model of handwritten digits; about a minute, no download.

    Example: zoo quickstart --dir /tmp/quickstart
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty. Remove it, or name another `--dir`.")
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    # Only the one document may stand on standard output; what the steps say goes to people.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        with quiet_tensorflow():
            import keras  # noqa: F401  (so that the first step shows its own time)
        rows, report = _run(folder)
    seconds = round(time.monotonic() - started, 1)
    if as_json:
        print_json({"seconds": seconds, "report": str(report), "models": [dataclasses.asdict(row) for row in rows]})
        return
    print_table(*_table(rows), title="Answered over gRPC, the whole test split")
    print(f"Report: {report}\nDone in {seconds} s. Go on: serving serve {folder / 'models'}")


def _run(folder: Path) -> tuple[list[_Served], Path]:
    dense, small, models = folder / "digits", folder / "digits-small", folder / "models"
    _step("zoo", "data", "fetch", "digits")
    _step("zoo", "train", "digits_cnn", "--run-dir", str(dense))
    longer = ("--set", "epochs=12", "--set", "learning_rate=1e-3")  # 38 steps an epoch are few
    _step("zoo", "compress", str(dense), "--recipe", "pruned_clustered", *longer, "--run-dir", str(small))
    _step("zoo", "export", str(dense), "--to", str(models), "--name", "digits", "--version", "1")
    _step("zoo", "export", str(small), "--to", str(models), "--name", "digits", "--version", "2", "--form", "packed")
    _export_by_keras(dense, models)
    evaluations = {run_dir: _evaluated(run_dir) for run_dir in (dense, small)}
    rows = _ask(folder, models, {"digits/1": dense, "digits/2": small, "digits_keras/1": dense})
    return rows, _report(folder, rows, evaluations)


def _step(*command: str) -> None:
    """Shows a `zoo` command and runs it in this process, where TensorFlow is loaded already."""
    from zoo.cli import zoo

    note(f"\n$ {shlex.join(command)}")
    zoo.main(list(command[1:]), prog_name="zoo", standalone_mode=False)


def _serving_step(*arguments: str) -> dict[str, Any]:
    from zoo.cli.server_process import run_serving

    note(f"$ serving {shlex.join(arguments)}")
    return run_serving(arguments)


def _export_by_keras(run_dir: Path, models: Path) -> None:
    """Exports the dense model as Keras does it, for comparison, beside ours."""
    from zoo.exporting import models_config
    from zoo.training.run_directory import RunDirectory

    target = models / "digits_keras" / "1"
    note(f"\n# for comparison: keras.Model.export({str(target)!r}) of the dense model")
    with contextlib.redirect_stdout(sys.stderr):
        RunDirectory.open(run_dir).load_model().export(target, verbose=False)
    (models / models_config.FILE).write_text(models_config.with_model(models, "digits_keras", None))


def _ask(folder: Path, models: Path, runs: Mapping[str, Path]) -> list[_Served]:
    """Serves the models, asks each for the whole test split, and compares with the answers of this process."""
    from zoo.cli.server_process import running_server

    note(f"\n$ serving serve {models} --port 0 --json")
    with running_server(models, folder / "server.log") as ready:
        address = f"localhost:{ready['port']}"
        return [_asked(folder, address, model, run_dir) for model, run_dir in runs.items()]


def _asked(folder: Path, address: str, model: str, run_dir: Path) -> _Served:
    import numpy as np

    name, _, version = model.partition("/")
    inputs = _test_images(run_dir, scaled=name == "digits_keras")
    labels, logits = _answered(run_dir)
    expected = _softmax(logits)
    sent, got, one = (folder / f"{name}_{version}_{part}" for part in ("test.npy", "answers.npz", "one.npy"))
    np.save(sent, inputs)
    np.save(one, inputs[:1])
    common = (address, name, "--version", version)
    _serving_step("predict", *common, "--input", f"image={sent}", "--output", str(got), "--json")
    seconds = str(_BENCH_SECONDS)
    speed = _serving_step("bench", *common, "--input", f"image={one}", "--clients", "1", "--seconds", seconds, "--json")
    with np.load(got) as answers:
        served = answers["probabilities"] if "probabilities" in answers else _softmax(answers["logits"])
    difference = float(np.abs(served - expected).max())
    if difference > _TOLERANCE or not np.array_equal(served.argmax(-1), expected.argmax(-1)):
        raise ZooError(f"{model} answers differently over gRPC than in this process: by up to {difference:.2g}.")
    (result,) = speed["results"]
    return _Served(
        what={"digits/1": "zoo, plain", "digits/2": "zoo, pruned, clustered, packed"}.get(model, "keras.Model.export"),
        name=name,
        version=int(version),
        accuracy=float((served.argmax(-1) == labels).mean()),
        bytes=sum(path.stat().st_size for path in (folder / "models" / model).rglob("*") if path.is_file()),
        p50_ms=result["p50_ms"],
        requests_per_s=result["requests_per_s"],
        max_difference=difference,
    )


def _evaluated(run_dir: Path) -> Evaluation:
    """Returns the answers of this process to the test split."""
    from zoo.training.evaluation import evaluate
    from zoo.training.run_directory import RunDirectory

    note(f"\n$ zoo evaluate {run_dir}")
    return evaluate(RunDirectory.open(run_dir), "test")


def _answered(run_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and logits of the test split in this process."""
    import numpy as np

    from zoo.training import inputs
    from zoo.training.evaluation import predictions
    from zoo.training.run_directory import RunDirectory

    run = RunDirectory.open(run_dir)
    experiment, model = run.experiment(), run.load_model()
    batches = inputs.model_batches(experiment, experiment.splits.test, list(model.input), training=False)
    pairs = [(targets["logits"], outputs["logits"]) for targets, outputs in predictions(model, batches)]
    labels, logits = zip(*pairs, strict=True)
    return np.concatenate(labels), np.concatenate(logits)


def _test_images(run_dir: Path, *, scaled: bool) -> np.ndarray:
    """Returns the images of the test split, as they are or as the model without its features takes them."""
    import numpy as np

    from zoo.data.pipeline import take_arrays
    from zoo.features.base import compose
    from zoo.training.run_directory import RunDirectory

    experiment = RunDirectory.open(run_dir).experiment()
    images = take_arrays(experiment.data, experiment.splits.test, 10**6)["image"]
    if scaled:  # Keras's export holds the model alone; what goes before it is the caller's business
        images = np.asarray(compose(experiment.features)({"image": images})["image"])
    return images


def _softmax(logits: np.ndarray) -> np.ndarray:
    import numpy as np

    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def _table(rows: list[_Served]) -> tuple[list[str], list[list[str]]]:
    columns = ["model", "what it is", "accuracy", "bytes on disk", "p50, 1 client", "equal to in-process"]
    return columns, [
        [
            f"{row.name}/{row.version}",
            row.what,
            f"{row.accuracy:.4f}",
            f"{row.bytes:,}",
            f"{row.p50_ms:.2f} ms",
            f"within {row.max_difference:.1g}",
        ]
        for row in rows
    ]


def _report(folder: Path, rows: list[_Served], evaluations: Mapping[Path, Evaluation]) -> Path:
    from zoo.reporting.report import Section, run_section, write_page
    from zoo.training.run_directory import RunDirectory

    path = folder / "report.html"
    columns, cells = _table(rows)
    summary = Section("Served models", columns, cells)
    note(f"\n$ zoo report {shlex.join(map(str, evaluations))} --to {path}")
    sections = [run_section(RunDirectory.open(run_dir), evaluation=done) for run_dir, done in evaluations.items()]
    write_page(path, "Quickstart: handwritten digits", [summary, *sections])
    return path
