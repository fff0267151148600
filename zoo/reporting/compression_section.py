"""The part of a page that shows what compression did to a run."""

from __future__ import annotations

from typing import Any

from zoo.exporting.weight_table import WeightRow, by_layer
from zoo.reporting import plots
from zoo.reporting.compression import CompressionReport, Form
from zoo.reporting.report import Picture, Section
from zoo.tasks.base import Table

__all__ = ["compression_section"]

_WEIGHTS = (
    "layer",
    "weight",
    "shape",
    "zeros",
    "values",
    "bits",
    "bytes, float32",
    "bytes, packed",
    "share of the file",
)


def compression_section(report: CompressionReport) -> Section:
    """Returns a table of the exported forms, one of the weights, and pictures of the layers."""
    layers = by_layer(report.weights)
    return Section(
        title=f"{report.run}: compression",
        text=_text(report),
        columns=_form_columns(report),
        rows=[_form_row(form) for form in report.forms],
        pictures=[Picture("Bytes and zeros of each layer", plots.svg_of(plots.layers_figure(layers)))],
        tables=[Table("Weights (bytes of the packed form: about)", _WEIGHTS, _weight_rows(report))],
        details={"Left out": "\n".join(report.left_out)} if report.left_out else {},
    )


def _text(report: CompressionReport) -> str:
    came = f"from {report.original}" if report.original else "from a run that is not there any more"
    text = f"Recipe {report.recipe!r}, {came}."
    if report.forms:
        text += (
            " All forms hold the model alone, without features, task, warm-up and manifest, and were called in "
            "turns in one process, on one thread."
        )
    return text


def _form_columns(report: CompressionReport) -> list[str]:
    figures = ["bytes", "beside the original", "bytes, gzip", "load", "memory", "p50, 1 row", "p50, 32 rows"]
    return ["form", report.figure, *figures]


def _form_row(form: Form) -> list[str]:
    cost = form.measured
    return [
        form.form if form.of == "compressed" else f"{form.form} of the {form.of}",
        "-" if form.score is None else f"{form.score:.4f}",
        f"{cost.bytes:,}",
        "" if form.of == "original" else form.remark,
        f"{cost.gzip_bytes:,}",
        f"{cost.load_ms:.0f} ms",
        f"{cost.memory_mb:.1f} MB",
        f"{cost.p50_ms_1:.2f} ms",
        f"{cost.p50_ms_32:.2f} ms",
    ]


def _weight_rows(report: CompressionReport) -> list[list[Any]]:
    rows = [_weight_row(row, report.share(row)) for row in report.weights]
    total = sum(row.bytes_after for row in report.weights)
    rest = report.packed_bytes - total
    if rest > 0:
        share = f"{rest / report.packed_bytes:.1%}"
        rows.append(["graph", "", "", "", "", "", "", f"{rest:,}", share])
    before = sum(row.bytes_before for row in report.weights)
    return [*rows, ["all", "", "", "", "", "", f"{before:,}", f"{max(total, report.packed_bytes):,}", "100%"]]


def _weight_row(row: WeightRow, share: float) -> list[Any]:
    if row.shape is None:
        return [
            row.layer,
            row.weight,
            f"{_shape(row.shape_before)}, gone",
            "",
            "",
            "",
            f"{row.bytes_before:,}",
            "0",
            "",
        ]
    shape = _shape(row.shape)
    if row.shape_before is None:
        shape += ", new"
    elif row.shape != row.shape_before:
        shape += f", was {_shape(row.shape_before)}"
    return [
        row.layer,
        row.weight,
        shape,
        f"{row.sparsity:.1%}",
        f"{row.distinct_values:,}",
        row.bits,
        f"{row.bytes_before:,}",
        f"{row.bytes_after:,}",
        f"{share:.1%}",
    ]


def _shape(shape: tuple[int, ...] | None) -> str:
    return str(list(shape or ()))
