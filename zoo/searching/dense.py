"""What the points of a search are measured beside, and with: the dense run as Keras exports it, and real examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras
    import numpy as np

    from zoo.exporting.signature import InputSpec

__all__ = ["EXPORTER", "examples_of", "keras_export"]

EXPORTER = "keras.export.ExportArchive"  # what `keras.Model.export` writes with, which takes no features and no task
_EXAMPLES = 32


def keras_export(run: RunDirectory, model: keras.Model, path: Path) -> None:
    """Writes the model of a run with its features and task by Keras's exporter, to take and answer what points do."""
    import keras

    from zoo.exporting.servable import SIGNATURE, Servable

    experiment, specs = run.experiment(), _specs(run, model)
    labels = run.info().names_of(experiment.task.labelled())
    servable = Servable(model, specs, experiment.features, experiment.task, labels)
    archive: Any = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE, servable.answers, input_signature=[{spec.name: spec.tensor_spec() for spec in specs}]
    )
    archive.write_out(str(path), verbose=False)


def examples_of(run: RunDirectory, model: keras.Model, split: str) -> dict[str, np.ndarray]:
    """Returns the first examples of a split, as a signature of the run takes them."""
    from zoo.data.pipeline import take_arrays

    raw = take_arrays(run.experiment().data, split, _EXAMPLES)
    return {spec.name: raw[spec.name] for spec in _specs(run, model)}


def _specs(run: RunDirectory, model: Any) -> list[InputSpec]:
    from zoo.exporting.signature import specs_of_data
    from zoo.features.base import inputs_needed

    return specs_of_data(run.info(), inputs_needed(run.experiment().features, list(model.input)))
