"""Pictures of a run: training curves, confusion matrix, examples with their answers, layers before and after."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.exporting.weight_table import LayerRow
from zoo.training import history
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

__all__ = [
    "confusion_figure",
    "examples_figure",
    "history_figure",
    "layers_figure",
    "plot_history",
    "read_history",
    "svg_of",
]

_SHOWN_LAYERS = 40


def read_history(run: RunDirectory) -> dict[str, list[float]]:
    """Returns each column of `history.csv`; empty where a run has none."""
    rows = history.read_history(run.history_path)
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}


def plot_history(run: RunDirectory) -> Path | None:
    """Writes `plots/history.svg` and returns its path; None where there is no history."""
    columns = read_history(run)
    if not columns:
        return None
    path = run.plots / "history.svg"
    path.write_text(svg_of(history_figure(columns)))
    return path


def history_figure(columns: dict[str, list[float]]) -> Figure:
    """Returns one panel per figure, the training and the validation curve in each."""
    figures = [name for name in columns if not name.startswith("val_") and name not in ("epoch", "learning_rate")]
    figure, axes = _figure(len(figures), width=5.0, height=3.2)
    epochs = [epoch + 1 for epoch in columns["epoch"]]
    for axis, name in zip(axes, figures, strict=True):
        axis.plot(epochs, columns[name], label="training")
        if f"val_{name}" in columns:
            axis.plot(epochs, columns[f"val_{name}"], label="validation")
        axis.set_xlabel("epoch")
        axis.set_title(name)
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


def confusion_figure(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Returns the counts [N, N] of each pair of true (row) and answered class, coloured by the share of the row.

    Beyond 40 classes it shows colours alone.
    """
    import numpy as np

    size = len(names)
    is_small = size <= 40
    cell = 0.45 if is_small else max(0.01, 18 / size)
    figure, (axis,) = _figure(1, width=max(4.0, cell * size + 1.5), height=max(3.5, cell * size + 1.2))
    axis.set_xlabel("answered")
    axis.set_ylabel("true")
    axis.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    if not is_small:
        return figure
    for row in range(size):
        for column in range(size):
            if counts[row, column]:
                colour = "white" if counts[row, column] > counts[row].sum() / 2 else "black"
                axis.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(size), names, rotation=0 if all(len(name) < 4 for name in names) else 60)
    axis.set_yticks(range(size), names)
    return figure


def examples_figure(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, certainty: np.ndarray, names: Sequence[str]
) -> Figure:
    """Returns a grid of images [N, H, W, C], each with its answer; wrong ones are red and name the true class."""
    columns = 10
    rows = -(-len(images) // columns)
    figure, axes = _figure(columns * rows, width=0.95, height=1.15, columns=columns)
    for axis in axes:
        axis.axis("off")
    for axis, image, label, answer, sure in zip(axes, images, labels, predicted, certainty, strict=False):
        axis.imshow(image.squeeze(), cmap="gray_r" if image.shape[-1] == 1 else None)
        text = f"{names[answer]} {sure:.0%}" if label == answer else f"{names[answer]}, not {names[label]}"
        axis.set_title(text, fontsize=8, color="black" if label == answer else "red")
    return figure


def layers_figure(layers: Sequence[LayerRow]) -> Figure:
    """Returns bytes before and after, on a logarithmic axis, and the share of zeros, a line for each layer.

    Of more than 40 layers it shows the 40 largest.
    """
    import numpy as np

    largest = sorted(layers, key=lambda row: max(row.bytes_before, row.bytes_after))[-_SHOWN_LAYERS:]
    shown = [row for row in layers if row in largest]
    figure, (sizes, zeros) = _figure(2, width=5.5, height=0.9 + 0.36 * len(shown))
    places = range(len(shown))
    least = min((size for row in shown for size in (row.bytes_before, row.bytes_after) if size), default=1)
    sizes.barh([y - 0.2 for y in places], [row.bytes_before for row in shown], 0.38, label="float32", color="#b8c4d0")
    sizes.barh([y + 0.2 for y in places], [row.bytes_after for row in shown], 0.38, label="packed", color="#1f77b4")
    sizes.set_xscale("log")
    sizes.set_xlim(left=10 ** np.floor(np.log10(least)))
    which = "" if len(shown) == len(layers) else f", the {len(shown)} largest of {len(layers)} layers"
    sizes.set_title(f"bytes{which}", loc="left")
    sizes.set_yticks(places, [row.layer for row in shown])
    sizes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    zeros.barh(places, [row.sparsity for row in shown], 0.6, color="#2ca02c")
    zeros.set_xlim(0, 1)
    zeros.xaxis.set_major_formatter("{x:.0%}")
    zeros.set_title("zeros", loc="left")
    zeros.set_yticks(places, [])
    for axis in (sizes, zeros):
        axis.set_ylim(len(shown) - 0.4, -0.6)  # the first layer on top
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
    return figure


def svg_of(figure: Figure) -> str:
    """Returns the figure as the text of an SVG picture."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    return text.getvalue()


def _figure(panels: int, *, width: float, height: float, columns: int = 3) -> tuple[Figure, list[Any]]:
    """Returns a figure without pyplot, whose global state and windows we have no use for, and its axes."""
    from matplotlib.figure import Figure

    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(panels)]
