"""From a model or a run to a published version: written, compared with the model, described, renamed into place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ExportError, InvalidValueError
from zoo.features.base import AbstractFeature, inputs_needed
from zoo.tasks.base import AbstractTask

if TYPE_CHECKING:
    import keras
    import numpy as np

    from zoo.exporting.forms import Part
    from zoo.exporting.litert.options import LiteRT
    from zoo.exporting.servable import Servable

__all__ = ["Published", "export", "export_run"]


@dataclasses.dataclass(frozen=True)
class Published:
    """A version that stands on disk, and its manifest."""

    path: Path
    version: int
    manifest: Mapping[str, Any]


def export(  # noqa: PLR0913  (what a version directory needs to be told; all by name)
    model: keras.Model,
    root: Path | str,
    *,
    name: str,
    version: int | None = None,
    form: str = "plain",
    task: AbstractTask | None = None,
    features: Sequence[AbstractFeature] = (),
    label_names: Sequence[str] = (),
    examples: Mapping[str, np.ndarray] | None = None,
    litert: LiteRT | None = None,
    calibration: Mapping[str, np.ndarray] | None = None,
    serving_root: str | None = None,
    signatures: Sequence[str] = (),
) -> Published:
    """Publishes any functional or sequential Keras 3 model as `<root>/<name>/<version>/`.

    The signature `serving_default` takes the model's inputs by name and answers its outputs by name. With a task,
    it answers what the task makes of the outputs; a model whose one output is called `logits` and holds two or more
    numbers an example, as the zoo's classifiers have it, is taken for a `Classification` and answers `probabilities`
    and `class_id`. Any other answers its outputs as they are.

    Args:
        model: built; any layers. It stays as it is.
        root: the directory that a server is pointed at.
        name: the model's name there.
        version: a number that is free, or None for the next one.
        form: `plain` (a checkpoint), `packed` (in the graph, entropy-coded, decoded once at load) or `litert`
            (`model.tflite`, which a server takes with `--prefer_tflite_model`).
        task: makes answers of outputs.
        features: part of the graph, before the model. They are taken to keep names and shapes of the model's inputs.
        label_names: the name of each class, for a task that has classes.
        examples: real inputs by name, rows first, for comparison and warm-up; by default those for calibration, or
            made-up ones.
        litert: precision and more of the form `litert`; by default float32.
        calibration: real inputs by name, rows first, from which `litert` in int8 takes the ranges of activations.
        serving_root: where the server will see `root`, for `models.config`; by default where it is now.
        signatures: `("classify",)` adds the signature that TensorFlow Serving's Classify takes, of a classifier in the
            forms `plain` and `packed`: see `zoo.exporting.example_signature`. It takes 1.2 kB packed, in plain 8 kB or
            more.

    Raises:
        VersionExistsError: the version is there.
        UnknownNameError: `signatures` holds another name.
        InvalidValueError: `label_names` or `signatures` without a task to use them, or options that the form has no use
            for.
        DataError: the model's outputs do not fit the task, or `label_names` its classes.
        ExportError: neither functional nor sequential, the disk is full, what was written answers differently, LiteRT
            lacks an operation, or int8 has no `calibration`; nothing is published.
    """
    from zoo.exporting.servable import Servable
    from zoo.exporting.signature import specs_of_model
    from zoo.models.functional import functional

    model = functional(model, "Export", ExportError)
    specs, task = specs_of_model(model), task or _task_of(model)
    if task is not None:
        task.check(model, label_names)
    elif label_names:
        raise InvalidValueError("label_names", "left out where there is no task", list(label_names))
    servable = Servable(model, specs, features, task, label_names, signatures)
    given = {"litert": litert, "calibration": calibration}
    return _publish(servable, Path(root), name, version, form, examples, serving_root, {}, **given)


def export_run(
    run_dir: Path | str,
    root: Path | str,
    *,
    name: str,
    version: int | None = None,
    form: str = "plain",
    litert: LiteRT | None = None,
    serving_root: str | None = None,
    signatures: Sequence[str] = (),
) -> Published:
    """Publishes the model of a run; its signature takes the raw examples of its data set.

    It is compared on examples of the test split; LiteRT's int8 takes its ranges from the training split.

    Arguments and errors are those of `export`.

    Raises:
        RunDirectoryError: no finished run.
    """
    from zoo.exporting.forms import FORMS
    from zoo.exporting.servable import Servable
    from zoo.exporting.signature import specs_of_data
    from zoo.training.run_directory import RunDirectory

    run = RunDirectory.open(run_dir)
    experiment, info = run.experiment(), run.info()
    model = run.load_model()
    servable = Servable(
        model,
        specs_of_data(info, inputs_needed(experiment.features, list(model.input))),
        experiment.features,
        experiment.task,
        info.names_of(experiment.task.labelled()),
        signatures,
    )
    about = {"config": experiment.name, "data": info.name, "metrics": _figures(run.metrics())}
    splits, calibration = experiment.splits, None
    examples = _real_examples(run, servable, splits.test, FORMS[form].num_examples) if form in FORMS else None
    if litert is not None and litert.precision == "int8":
        calibration = _real_examples(run, servable, splits.train, litert.calibration_rows)
    given = {"litert": litert, "calibration": calibration}
    return _publish(servable, Path(root), name, version, form, examples, serving_root, about, **given)


def _figures(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the numbers and words of a run's metrics; what stands of each weight and epoch stays with the run."""
    return {
        group: {name: value for name, value in figures.items() if isinstance(value, bool | int | float | str)}
        for group, figures in metrics.items()
    }


def _publish(  # noqa: PLR0913  (what both ways of exporting have in common)
    servable: Servable,
    root: Path,
    name: str,
    version: int | None,
    form: str,
    examples: Mapping[str, np.ndarray] | None,
    serving_root: str | None,
    about: Mapping[str, Any],
    *,
    litert: LiteRT | None = None,
    calibration: Mapping[str, np.ndarray] | None = None,
) -> Published:
    from zoo.exporting.example_signature import check_signatures
    from zoo.exporting.forms import parts_of
    from zoo.exporting.manifest import write_manifest
    from zoo.exporting.models_config import adding_model, with_model
    from zoo.exporting.publish import check_name, publish
    from zoo.exporting.servable import SIGNATURE
    from zoo.exporting.verify import random_examples
    from zoo.exporting.warmup import write_warmup

    if calibration is not None:
        calibration = _checked_examples(servable, calibration, "calibration")
    parts = parts_of(form, litert, calibration)
    check_signatures(servable, form)
    check_name(name)
    with_model(root, name, serving_root)  # a file that cannot be extended is refused before the work
    real = calibration if examples is None else _checked_examples(servable, examples, "examples")
    tried = random_examples(servable.inputs) if real is None else real
    manifest: dict[str, Any] = {}

    def write(directory: Path, number: int) -> None:
        written = [_written(servable, directory, part, tried) for part in parts]
        write_warmup(directory, name, SIGNATURE, tried, row_by_row=any(one.get("batch") == 1 for one in written))
        first, *beside = written
        described = {
            "name": name,
            "version": number,
            **first,
            **({"beside": beside[0]} if beside else {}),
            "weights": _num_weights(servable),
            **about,
        }
        manifest.update(write_manifest(directory, described))

    path = publish(root / name, version, write, around_rename=lambda: adding_model(root, name, serving_root))
    return Published(path, int(path.name), manifest)


def _written(servable: Servable, directory: Path, part: Part, examples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Writes a part of a version directory and returns what the manifest says of it, once it answers as it must."""
    from zoo.exporting import verify

    facts = part.write(servable, directory, examples)
    measured = verify.verify(servable, directory, examples, **part.check)
    verify.verify_examples(servable, directory, examples)
    return {"form": part.form, **facts, "measured": measured}


def _task_of(model: keras.Model) -> AbstractTask | None:
    """Returns the task of a model whose outputs say it by their name."""
    from zoo.tasks.classification import Classification

    if not isinstance(model.output, dict) or list(model.output) != ["logits"]:
        return None
    shape = model.output["logits"].shape
    return Classification() if len(shape) == 2 and shape[-1] >= 2 else None


def _real_examples(run: Any, servable: Servable, split: str, num_examples: int) -> dict[str, np.ndarray] | None:
    """Returns the first examples of a split of the run's data, or None where it is not at hand."""
    from zoo.data.pipeline import take_arrays
    from zoo.errors import DataUnavailableError

    try:
        raw = take_arrays(run.experiment().data, split, num_examples)
    except DataUnavailableError:
        return None
    return {spec.name: raw[spec.name] for spec in servable.inputs}


def _checked_examples(servable: Servable, examples: Mapping[str, np.ndarray], field: str) -> dict[str, np.ndarray]:
    import numpy as np

    names = [spec.name for spec in servable.inputs]
    if sorted(names) != sorted(examples):
        raise ExportError(
            f"`{field}` must hold {', '.join(f'`{name}`' for name in names)}. "
            f"Received: {', '.join(f'`{name}`' for name in examples)}."
        )
    return {name: np.asarray(examples[name]) for name in names}


def _num_weights(servable: Servable) -> int:
    return sum(weight.value.shape.num_elements() or 0 for weight in servable.model.weights)
