"""`zoo export`: publish the model of a run."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow
from zoo.exporting.forms import FORMS

__all__ = ["export"]


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--to", "root", type=click.Path(path_type=Path), required=True, help="Where a server looks for models.")
@click.option("--name", required=True, help="The model's name there.")
@click.option("--version", type=int, help="A free number; by default the next one.")
@click.option("--form", type=click.Choice(list(FORMS)), default="plain", show_default=True)
@click.option("--serving-root", help="Where the server will see ROOT, for models.config: /models in the stock image.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def export(
    run_dir: Path,
    root: Path,
    name: str,
    version: int | None,
    form: str,
    serving_root: str | None,
    as_json: bool,
) -> None:
    """Publish the model of RUN_DIR as ROOT/NAME/VERSION, which TensorFlow Serving reads.

    Example: zoo export runs/mnist --to models --name mnist --form packed
    """
    from zoo.training.run_directory import RunDirectory

    RunDirectory.open(run_dir)
    with quiet_tensorflow():
        from zoo.exporting.export import export_run

    published = export_run(
        run_dir,
        root,
        name=name,
        version=version,
        form=form,
        serving_root=serving_root,
    )
    manifest = {key: value for key, value in published.manifest.items() if key not in ("files", "ops")}
    if as_json:
        print_json({"path": str(published.path), **manifest})
        return
    measured = manifest["measured"]
    rows = [
        ("path", published.path),
        ("form", manifest["form"]),
        ("weights", f"{manifest['weights']:,}"),
        ("bytes", f"{manifest['bytes']:,}"),
        ("p50 in this process, 1 row", f"{measured['p50_ms']} ms"),
        ("largest difference from the model", f"{measured['max_difference']:.2g}"),
    ]
    print_table(["published", ""], rows)
    note(f"Next: serving serve {root}")
