"""`zoo report`: a page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import note, print_json, quiet_tensorflow

__all__ = ["report"]


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "path", type=click.Path(path_type=Path), help="By default report.html in the first run.")
@click.option("--no-measure", is_flag=True, help="Leave out what takes time: the exported forms of a compressed run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def report(run_dirs: tuple[Path, ...], path: Path | None, no_measure: bool, as_json: bool) -> None:
    """Write one self-contained HTML page with curves, confusion matrix and examples of each RUN_DIR.

    Of a compressed run it also shows each weight, and bytes, load time, memory and latency of its exported forms beside
    `keras.Model.export` of the original. Example: zoo report runs/mnist runs/mnist-small --to report.html
    """
    from zoo.training.run_directory import RunDirectory

    runs = [RunDirectory.open(run_dir) for run_dir in run_dirs]
    with quiet_tensorflow():
        from zoo.reporting.compression import compression_report
        from zoo.reporting.compression_section import compression_section
        from zoo.reporting.report import run_section, write_page

    path = path or runs[0].path / "report.html"
    sections, compressions = [], []
    for run in runs:
        note(f"{run.path}: curves, and answers to the test split")
        sections.append(run_section(run))
        compression = compression_report(run, is_measured=not no_measure, log=note)
        if compression is not None:
            sections.append(compression_section(compression))
            compressions.append(compression.document())
    write_page(path, "Runs: " + ", ".join(run.path.name for run in runs), sections)
    if as_json:
        print_json({"report": str(path), "runs": [str(run.path) for run in runs], "compression": compressions})
    else:
        print(f"Report: {path}")
