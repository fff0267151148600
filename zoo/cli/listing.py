"""`zoo list`: what there is, without importing any of it."""

from __future__ import annotations

import click

from zoo import registry
from zoo.cli.output import print_json, print_table

__all__ = ["list_"]

_KINDS = ("models", "sources", "features", "tasks", "compressions", "recipes", "configs")


@click.command("list")
@click.argument("kind", type=click.Choice(_KINDS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(kind: str | None, as_json: bool) -> None:
    """List models, sources, features, tasks, compressions, recipes or configs.

    Example: zoo list models
    """
    from zoo.config.files import list_configs

    tables = {
        "models": registry.MODELS,
        "sources": registry.SOURCES,
        "features": registry.FEATURES,
        "tasks": registry.TASKS,
        "compressions": registry.COMPRESSIONS,
        "recipes": registry.RECIPES,
    }
    found = {name: {key: entry.summary for key, entry in table.items()} for name, table in tables.items()}
    found["configs"] = list_configs()
    chosen = {kind: found[kind]} if kind else found
    if as_json:
        print_json(chosen)
        return
    for name, rows in chosen.items():
        print_table([name, "what it is"], sorted(rows.items()))
