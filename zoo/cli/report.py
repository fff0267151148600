"""`zoo report`: a page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import print_json, quiet_tensorflow

__all__ = ["report"]


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "path", type=click.Path(path_type=Path), help="By default report.html in the first run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def report(run_dirs: tuple[Path, ...], path: Path | None, as_json: bool) -> None:
    """Write one self-contained HTML page with curves, confusion matrix and examples of each RUN_DIR.

    Example: zoo report runs/mnist runs/mnist-small --to report.html
    """
    from zoo.training.run_directory import RunDirectory

    runs = [RunDirectory.open(run_dir) for run_dir in run_dirs]
    with quiet_tensorflow():
        from zoo.reporting.report import run_section, write_page

    path = path or runs[0].path / "report.html"
    write_page(path, "Runs: " + ", ".join(run.path.name for run in runs), [run_section(run) for run in runs])
    if as_json:
        print_json({"report": str(path), "runs": [str(run.path) for run in runs]})
    else:
        print(f"Report: {path}")
