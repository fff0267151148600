"""What compression buys: models trained, compressed, exported and measured beside `keras.Model.export`, from scratch.

Everything is kept in a working directory, a run for each model, and what stands there of the same settings is not done
again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.benchmarks.rows import Compressed, Target, Untrained, packed_row
from zoo.config import Experiment, to_json
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras

    from zoo.exporting.measure import Measured
    from zoo.recipes.recipe import Ladder, Recipe

__all__ = ["FLOAT_BYTES", "ArtifactBench", "is_bit_exact"]

FLOAT_BYTES = 4
_EXAMPLES = 32


class ArtifactBench:
    """Runs of one working directory.

    Args:
        directory: made where it is not there.
        tell: is called with a line before each step.
    """

    def __init__(self, directory: Path, tell: Callable[[str], None]):
        self._directory = directory
        self._tell = tell

    def compressed(self, experiment: Experiment, target: Target, seed: int) -> Compressed:
        """Returns a row for a model, trained and compressed unless both stand there.

        Raises:
            ZooError: as training, compression and export do.
        """
        dense = self._trained(experiment, seed)
        small = self._made_small(dense, target)
        figure, before, after = self._compared(dense, small)
        model = dense.load_model()
        paths = [self._exported(dense, "plain"), self._exported(small, "packed")]
        reference, measured = self._measured(dense, paths)
        float_bytes = FLOAT_BYTES * model.count_params()
        return Compressed(
            config=experiment.name,
            seed=seed,
            recipe=" ".join([target.recipe, *target.overrides]),
            figure=figure,
            dense=before,
            compressed=after,
            lost_points=_points(dense, before, after),
            float_bytes=float_bytes,
            keras_export_bytes=self._keras_bytes(dense, model),
            times=round(float_bytes / measured.bytes, 2),
            bytes=measured.bytes,
            gzip_bytes=measured.gzip_bytes,
            load_ms=measured.load_ms,
            memory_mb=measured.memory_mb,
            p50_ms_1=measured.p50_ms_1,
            p50_ms_32=measured.p50_ms_32,
            p50_ratio_1=round(measured.p50_ms_1 / reference.p50_ms_1, 3),
            p50_ratio_32=round(measured.p50_ms_32 / reference.p50_ms_32, 3),
        )

    def untrained(self, experiment: Experiment, seed: int = 0) -> Untrained:
        """Returns a row for a model that is packed without being trained again, and rounded to 8 bits."""
        dense = self._trained(experiment, seed)
        model = dense.load_model()
        rounded = self._rounded(dense)
        figure, before, after = self._compared(dense, rounded)
        ours = [self._exported(dense, "plain"), self._exported(dense, "packed"), self._exported(rounded, "packed")]
        packed = packed_row(
            experiment.name,
            self._measured(dense, ours),
            float_bytes=FLOAT_BYTES * model.count_params(),
            keras_export_bytes=self._keras_bytes(dense, model),
            is_bit_exact=is_bit_exact(model, ours[1]),
        )
        return Untrained(
            **vars(packed),
            figure=figure,
            float_figure=before,
            int8_figure=after,
            int8_lost_points=_points(dense, before, after),
        )

    def _trained(self, experiment: Experiment, seed: int) -> RunDirectory:
        from zoo.training.loop import train

        seeded = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, seed=seed))
        path = self._directory / f"{experiment.name}-{seed}-{_digest(seeded)}"
        if not (path / "model.keras").is_file():
            self._tell(f"{path.name}: training")
            train(seeded, path, resume=(path / "config.json").is_file())
        return RunDirectory.open(path)

    def _made_small(self, dense: RunDirectory, target: Target) -> RunDirectory:
        from zoo import registry
        from zoo.config import apply_overrides

        recipe = apply_overrides(registry.lookup(registry.RECIPES, "recipe", target.recipe)(), target.overrides)
        return self._derived(dense, recipe, target.recipe)

    def _rounded(self, dense: RunDirectory) -> RunDirectory:
        from zoo.compression.quantize import Quantize
        from zoo.recipes.recipe import Recipe

        return self._derived(dense, Recipe(transforms=(Quantize("int8"),)), "int8")

    def _derived(self, dense: RunDirectory, recipe: Recipe | Ladder, name: str) -> RunDirectory:
        from zoo.training.compress_run import compress_run

        path = dense.path.with_name(f"{dense.path.name}-{name}-{_digest(recipe)}")
        if not (path / "model.keras").is_file():
            self._tell(f"{path.name}: compression")
            compress_run(dense.path, recipe, path, recipe_name=name)
        return RunDirectory.open(path)

    def _compared(self, dense: RunDirectory, small: RunDirectory) -> tuple[str, float, float]:
        """Returns the name of the task's monitored figure, and both models' on the test split, seen once."""
        from zoo.training.budget import monitored
        from zoo.training.evaluation import evaluate

        figure = monitored(dense.experiment().task)
        values = []
        for run in (dense, small):
            if "test" not in run.metrics():
                self._tell(f"{run.path.name}: the test split")
                evaluate(run, "test")
            values.append(float(run.metrics()["test"][figure]))
        return figure, values[0], values[1]

    def _exported(self, run: RunDirectory, form: str) -> Path:
        from zoo.exporting.export import export_run

        name = f"{run.path.name}-{form}"
        path = self._directory / "models" / name / "1"
        if not path.is_dir():
            self._tell(f"{run.path.name}: export as {form}")
            export_run(run.path, self._directory / "models", name=name, form=form)
        return path

    def _measured(self, run: RunDirectory, paths: Sequence[Path]) -> list[Measured]:
        from zoo.exporting.measure import measure

        self._tell(f"{run.path.name}: measuring {len(paths)} exports side by side")
        return measure(paths, examples=self._examples(run))

    def _examples(self, run: RunDirectory) -> dict[str, np.ndarray]:
        """Returns real inputs of the run's export, rows first."""
        from zoo.data.pipeline import take_arrays

        experiment = run.experiment()
        raw = take_arrays(experiment.data, experiment.splits.test, _EXAMPLES)
        manifest = json.loads((self._exported(run, "plain") / "assets.extra/manifest.json").read_text())
        return {name: raw[name] for name in manifest["signatures"]["serving_default"]["inputs"]}

    def _keras_bytes(self, run: RunDirectory, model: keras.Model) -> int:
        from zoo.exporting.measure import bytes_of

        path = self._directory / "models" / f"{run.path.name}-keras"
        if not path.is_dir():
            unfinished = path.with_name(f".{path.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            model.export(str(unfinished / "1"), verbose=False)
            unfinished.rename(path)
        return bytes_of(path)


def _digest(settings: Experiment | Recipe | Ladder) -> str:
    """Returns a word that changes with any setting: what stands under another is not taken for it."""
    return hashlib.sha256(json.dumps(to_json(settings), sort_keys=True).encode()).hexdigest()[:8]


def _points(run: RunDirectory, before: float, after: float) -> float:
    from zoo.training.budget import Budget, monitored

    task = run.experiment().task
    return round(100 * Budget.of(task, {monitored(task): before}, max_loss=0.0).loss(after), 3)


def is_bit_exact(model: keras.Model, packed: Path) -> bool:
    """Tells whether a packed export decodes to the model's weights."""
    from zoo.exporting.packing.reading import loaded_weights

    pairs = zip(model.weights, loaded_weights(model, packed), strict=True)
    return all(np.asarray(weight.numpy()).tobytes() == loaded.tobytes() for weight, loaded in pairs)
