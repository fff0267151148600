"""What compression did to a run: its weights one by one, and its exported forms beside the original's."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import RunDirectoryError, ZooError
from zoo.exporting.litert.options import LiteRT
from zoo.exporting.measure import Measured
from zoo.exporting.weight_table import WeightRow, weight_table
from zoo.training.budget import monitored
from zoo.training.origin import origin
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras

__all__ = ["BASELINE", "CompressionReport", "Form", "compression_report"]

BASELINE = "keras.Model.export"
# What is written of the compressed model, by the name in the table; LiteRT's int8 would need the run's data.
_FORMS = {
    "plain": ("plain", None),
    "packed": ("packed", None),
    "litert, dynamic": ("litert", LiteRT(precision="dynamic")),
}
_SLOWER = 1.05  # times the p50 of the original; calls in turns repeat to within some percent


@dataclasses.dataclass(frozen=True)
class Form:
    """A model as a version directory.

    Attributes:
        form: `keras.Model.export`, or the name of one of ours, with LiteRT's precision.
        of: `original` or `compressed`.
        score: of the model, as in the report's `figure`; None where it was not evaluated, and of LiteRT's forms, whose
            answers differ.
        measured: what the directory costs.
        times_smaller: all bytes of the original's directory by those of this one.
        p50_ratio_1: p50 of a call with one row by the original's: above 1 it is slower.
        p50_ratio_32: the same with 32 rows.
    """

    form: str
    of: str
    score: float | None
    measured: Measured
    times_smaller: float
    p50_ratio_1: float
    p50_ratio_32: float

    @property
    def remark(self) -> str:
        """Size and speed beside the original's, never the one without the other."""
        slower = "slower: " if max(self.p50_ratio_1, self.p50_ratio_32) > _SLOWER else ""
        speed = f"{self.p50_ratio_1:.2f} and {self.p50_ratio_32:.2f} times the p50 at 1 and 32 rows"
        return f"{self.times_smaller:.1f} times smaller; {slower}{speed}"


@dataclasses.dataclass(frozen=True)
class CompressionReport:
    """All that is told of a compressed run.

    Attributes:
        run: the run directory.
        original: that of the run it came from, before any compression; None where it is not there any more.
        recipe: its name.
        figure: what `score` of a form is: the name of the split and of the figure.
        weights: a row for each tensor.
        forms: the original's first; empty where nothing was measured.
        left_out: why something is missing.
    """

    run: str
    original: str | None
    recipe: str
    figure: str
    weights: Sequence[WeightRow]
    forms: Sequence[Form]
    left_out: Sequence[str]

    @property
    def packed_bytes(self) -> int:
        """All bytes of the packed version directory; the sum over the weights where it was not written."""
        written = [form.measured.bytes for form in self.forms if form.form == "packed"]
        return written[0] if written else sum(row.bytes_after for row in self.weights)

    def document(self) -> dict[str, Any]:
        """Returns it as one JSON document."""
        weights = [
            {**dataclasses.asdict(row), "sparsity": round(row.sparsity, 4), "share": self.share(row)}
            for row in self.weights
        ]
        return {**dataclasses.asdict(self), "weights": weights}

    def share(self, row: WeightRow) -> float:
        """Returns the share of `packed_bytes` that a tensor takes."""
        return round(row.bytes_after / max(1, self.packed_bytes), 4)


def compression_report(run: RunDirectory, *, is_measured: bool, log: Callable[[str], None]) -> CompressionReport | None:
    """Returns what compression did to a run, or None for a run that was not compressed.

    Forms are exported into a temporary directory and measured there: the model by itself, without features and task,
    whose cost compression does not change, so that `keras.Model.export` computes the same.

    Args:
        run: finished.
        is_measured: export and measure: from half a minute to minutes for recurrent models.
        log: is told what takes time.
    """
    compression = run.metrics().get("compression")
    if compression is None:
        return None
    small = run.load_model()
    original, left_out = None, []
    dense: keras.Model | None = None
    try:
        original = origin(run)
        dense = original.load_model()
    except RunDirectoryError as error:
        left_out.append(f"The original, whose tensors and exports would stand beside these: {error}")
    figure, scores = _scores(run, original)
    log(f"{run.path.name}: bytes of each weight")
    weights = weight_table(small, dense)
    forms: Sequence[Form] = ()
    if is_measured and dense is not None:
        try:
            forms, refused = _forms(dense, small, scores, log)
            left_out += refused
        except ZooError as error:
            left_out.append(f"Figures of the exported forms: {error}")
    elif not is_measured:
        left_out.append("Figures of the exported forms: `--no-measure` was given.")
    return CompressionReport(
        run=str(run.path),
        original=None if original is None else str(original.path),
        recipe=compression["recipe"],
        figure=figure,
        weights=weights,
        forms=forms,
        left_out=left_out,
    )


def _scores(run: RunDirectory, original: RunDirectory | None) -> tuple[str, dict[str, float]]:
    """Returns the figure that the task watches, of a split for which both runs have it, and its values."""
    name = monitored(run.experiment().task)
    metrics = {"compressed": run.metrics(), "original": original.metrics() if original else {}}
    known = {
        split: {of: found[split][name] for of, found in metrics.items() if name in found.get(split, {})}
        for split in ("test", "validation")
    }
    split = max(known, key=lambda split: len(known[split]))
    return f"{split} {name.replace('_', ' ')}", known[split]


def _forms(
    dense: keras.Model, small: keras.Model, scores: dict[str, float], log: Callable[[str], None]
) -> tuple[list[Form], list[str]]:
    """Returns the forms of both models, exported and measured side by side, and why one of ours is not among them.

    Raises:
        ZooError: the original cannot be exported, or nothing can be measured.
    """
    from zoo.exporting.measure import measure

    refused, written = [], {}
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder, "keras", "1")
        log(f"export of the original by {BASELINE}, of the compressed model as {'; '.join(_FORMS)}")
        dense.export(str(original), verbose=False)
        for name in _FORMS:
            try:
                written[name] = _written(small, name, Path(folder, name, "1"))
            except ZooError as error:
                refused.append(f"The form {name}: {error}")
        log("load time, memory and latency of each, in a process of their own")
        first, *costs = measure([original, *written.values()])
    forms = [_form(BASELINE, "original", scores.get("original"), first, first)]
    for name, cost in zip(written, costs, strict=True):
        is_exact = _FORMS[name][1] is None
        forms.append(_form(name, "compressed", scores.get("compressed") if is_exact else None, cost, first))
    return forms, refused


def _form(name: str, of: str, score: float | None, cost: Measured, first: Measured) -> Form:
    return Form(
        form=name,
        of=of,
        score=score,
        measured=cost,
        times_smaller=round(first.bytes / cost.bytes, 2),
        p50_ratio_1=round(cost.p50_ms_1 / first.p50_ms_1, 3),
        p50_ratio_32=round(cost.p50_ms_32 / first.p50_ms_32, 3),
    )


def _written(model: keras.Model, name: str, path: Path) -> Path:
    """Writes a model as `keras.Model.export` does, its outputs as they are, in one of our forms; returns `path`.

    Raises:
        ZooError: it cannot be written so, or answers otherwise than the form allows.
    """
    from zoo.exporting.forms import parts_of
    from zoo.exporting.servable import Servable
    from zoo.exporting.signature import specs_of_model
    from zoo.exporting.verify import random_examples, verify

    servable = Servable(model, specs_of_model(model))
    examples = random_examples(servable.inputs)
    form, options = _FORMS[name]
    (part,) = parts_of(form, options, None)
    path.mkdir(parents=True)
    part.write(servable, path, examples)
    verify(servable, path, examples, **part.check)
    return path
