"""`zoo export`: publish the model of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow
from zoo.errors import UsageError
from zoo.exporting.forms import FORMS
from zoo.exporting.litert.options import TOLERANCES, LiteRT

__all__ = ["export"]

_OPTIONS = {
    "precision": "--precision",
    "beside": "--beside",
    "num_calibration": "--calibration",
    "tolerance": "--tolerance",
}


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--to", "root", type=click.Path(path_type=Path), required=True, help="Where a server looks for models.")
@click.option("--name", required=True, help="The model's name there.")
@click.option("--version", type=int, help="A free number; by default the next one.")
@click.option("--form", type=click.Choice(list(FORMS)), default="plain", show_default=True)
@click.option("--precision", type=click.Choice(list(TOLERANCES)), help="Of litert; float32 by default.")
@click.option("--beside", type=click.Choice(["plain", "packed"]), help="Of litert: write this SavedModel too.")
@click.option("--calibration", "num_calibration", type=int, help="Of litert in int8: examples for its ranges; 200.")
@click.option(
    "--tolerance",
    type=float,
    help="Of litert: what an answer may differ by, in shares of it where it is above 1; by default "
    + ", ".join(f"{value:g} in {name}" for name, value in TOLERANCES.items())
    + ".",
)
@click.option(
    "--classify", is_flag=True, help="Of plain and packed: a signature of tf.Examples too, for Classify; 1.2 kB packed."
)
@click.option("--serving-root", help="Where the server will see ROOT, for models.config: /models in the stock image.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def export(
    run_dir: Path,
    root: Path,
    name: str,
    version: int | None,
    form: str,
    serving_root: str | None,
    classify: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Publish the model of RUN_DIR as ROOT/NAME/VERSION, which TensorFlow Serving reads.

    Example: zoo export runs/mnist --to models --name mnist --form packed

    Example: zoo export runs/mnist --to models --name mnist --form litert --precision int8 --beside packed
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    if given and form != "litert":
        raise UsageError(f"{', '.join(_OPTIONS[name] for name in given)}: for `--form litert` only. Received: {form}.")
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
        litert=LiteRT(**given) if form == "litert" else None,
        serving_root=serving_root,
        signatures=("classify",) if classify else (),
    )
    manifest = {key: value for key, value in published.manifest.items() if key not in ("files", "ops")}
    if as_json:
        print_json({"path": str(published.path), **manifest})
        return
    measured = manifest["measured"]
    rows = [
        ("path", published.path),
        ("form", " ".join(manifest[key] for key in ("form", "precision") if key in manifest)),
        ("weights", f"{manifest['weights']:,}"),
        ("bytes", f"{manifest['bytes']:,}"),
        ("p50 in this process, 1 row", f"{measured['p50_ms']} ms"),
        (
            "largest difference from the model",
            f"{measured['max_difference']:.2g}, {measured['tolerance']:g} is allowed",
        ),
    ]
    if manifest.get("batch"):
        rows.append(("rows a request", manifest["batch"]))
    print_table(["published", ""], rows)
    if form == "litert" and "beside" not in manifest:
        note("Next: tensorflow_model_server --prefer_tflite_model --model_config_file=... on the directory")
        return
    note(f"Next: serving serve {root}")
