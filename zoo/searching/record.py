"""`search.json`: what a search is of and what it has found, written anew after each point, so that it can go on."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import RunDirectoryError
from zoo.searching.front import Point
from zoo.searching.grid import DENSE, Setting

__all__ = ["Record"]

_FILE = "search.json"


class Record:
    """What stands in a search's directory.

    Args:
        folder: new, empty, or of a search of the same thing.
        about: what the search is of; a directory of another one is refused.

    Attributes:
        references: the dense model in other forms.
        points: in the order in which they were made.
        refused: why a setting could not be made, by its slug.
        refinements: settings that lay between neighbours of the front when they were chosen.

    Raises:
        RunDirectoryError: the directory is in use.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]):
        self.folder = folder
        self._about = json.loads(json.dumps(about))
        self.references: list[Point] = []
        self.points: list[Point] = []
        self.refused: dict[str, str] = {}
        self.refinements: list[Setting] = []
        if not (folder / _FILE).is_file():
            self._check_free()
            return
        document = self._read()
        for name, value in self._about.items():
            if document.get(name) != value:
                raise RunDirectoryError(
                    f"{folder} holds another search: its `{name}` is {document.get(name)!r}, not {value!r}. Go on with "
                    "it by the same command, or name another `--run-dir`."
                )
        self.references = [_point(row) for row in document["references"]]
        self.points = [_point(row) for row in document["points"]]
        self.refused = document["refused"]
        self.refinements = [Setting(**row) for row in document["refinements"]]

    def _check_free(self) -> None:
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise RunDirectoryError(
                f"{self.folder} is there already, not empty, and holds no search. Name another `--run-dir`."
            )

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / _FILE).read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunDirectoryError(
                f"{self.folder / _FILE} is no JSON document: {error}. Remove the directory."
            ) from error

    def settings(self) -> list[Setting]:
        """Returns the dense setting and those of all points."""
        return [DENSE, *(point.setting for point in self.points if point.setting is not None)]

    def point(self, setting: Setting) -> Point:
        """Returns the point of a setting that is done."""
        return next(point for point in self.points if point.setting == setting)

    def document(self) -> dict[str, Any]:
        """Returns what is written."""
        return {
            **self._about,
            "references": [dataclasses.asdict(point) for point in self.references],
            "points": [dataclasses.asdict(point) for point in self.points],
            "refused": self.refused,
            "refinements": [dataclasses.asdict(setting) for setting in self.refinements],
        }

    def write(self) -> None:
        """Writes the file; a crash on the way leaves the one before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{_FILE}.tmp"
        temporary.write_text(json.dumps(self.document(), indent=2) + "\n")
        os.replace(temporary, self.folder / _FILE)


def _point(row: Mapping[str, Any]) -> Point:
    settings = {name: row[name] and Setting(**row[name]) for name in ("setting", "parent")}
    return Point(**{**row, **settings})
