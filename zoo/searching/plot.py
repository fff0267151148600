"""The picture of a search: accuracy over bytes, latency as colour, the front as a line."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

from zoo.searching.front import Point

__all__ = ["pareto_svg"]


def pareto_svg(
    points: Sequence[Point], references: Sequence[Point], *, figure: str, mode: Literal["max", "min"], title: str
) -> str:
    """Returns an SVG picture that needs no other file.

    Args:
        points: measured, and told which are on the front.
        references: shown as stars, with their names.
        figure: name of the figure that was monitored.
        mode: whether higher or lower is better; better is up.
        title: stands above.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    picture: Any = Figure(figsize=(9.0, 5.6), layout="constrained")
    axis = picture.add_subplot()
    shown = [*points, *references]
    fastest, slowest = min(point.p50_ms_1 or 0 for point in shown), max(point.p50_ms_1 or 0 for point in shown)
    colours = {"cmap": "viridis", "vmin": fastest, "vmax": max(slowest, fastest * 1.1)}
    best = sorted((point for point in shown if point.on_front), key=lambda point: (point.bytes, point.value))
    axis.plot([p.bytes for p in best], [p.value for p in best], color="tab:red", linewidth=1.2, label="front", zorder=1)
    beaten = [point for point in points if not point.on_front]
    kept = [point for point in points if point.on_front]
    drawn = None
    for group, marker, size, edge, name in (
        (beaten, "o", 22, "none", "beaten"),
        (kept, "o", 60, "tab:red", "on the front"),
        (references, "*", 150, "black", "dense model"),
    ):
        if group:
            latencies = [point.p50_ms_1 or 0 for point in group]
            at = [point.bytes for point in group], [point.value for point in group]
            drawn = axis.scatter(
                *at, c=latencies, marker=marker, s=size, edgecolors=edge, label=name, zorder=2, **colours
            )
    for point in (*kept, *references):
        text = point.setting.slug() if point.setting else point.transforms
        axis.annotate(text, (point.bytes, point.value), (4, -9), textcoords="offset points", fontsize=6)
    axis.set_xscale("log")
    axis.margins(x=0.12)  # for names at the right
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size / 1e3:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("KB (1,000 bytes) of the version directory")
    axis.set_ylabel(f"{figure.replace('_', ' ')}, validation split")
    if mode == "min":
        axis.invert_yaxis()
    axis.grid(alpha=0.3, which="both")
    axis.set_title(title)
    axis.legend(loc="lower right")
    if drawn is not None:
        picture.colorbar(drawn, label="p50 of one row, ms")
    text = io.StringIO()
    picture.savefig(text, format="svg")
    return text.getvalue()
