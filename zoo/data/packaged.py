"""Packaged data: real data sets that ship inside public packages, for machines that reach a package registry at most.

A data set costs one module in `zoo/data/recipes` with an entry in its `RECIPES`, and its line in the `RECIPES` here.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.base import AbstractSource, DataInfo
from zoo.data.packages import ensure_originals
from zoo.data.recipe import AbstractRecipe
from zoo.data.splits import split_ranges
from zoo.data.storage import (
    data_root,
    fault_of,
    locked,
    originals_directory,
    replace_directory,
    scratch_directory,
    tfds_root,
    write_manifest,
)
from zoo.errors import DataError, DataUnavailableError, UnknownNameError

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["RECIPES", "AvailableRow", "Packaged", "available", "fetch"]

# Name of the data set, to the module whose own `RECIPES` holds it.
RECIPES: Mapping[str, str] = {
    "acsf1": "zoo.data.recipes.time_series",
    "basic_motions": "zoo.data.recipes.time_series",
    "digits": "zoo.data.recipes.digits",
    "fashion_mnist": "zoo.data.recipes.fashion_mnist",
    "fillets_cs": "zoo.data.recipes.fillets",
    "fillets_nl": "zoo.data.recipes.fillets",
    "gun_point": "zoo.data.recipes.time_series",
    "italy_power_demand": "zoo.data.recipes.time_series",
    "japanese_vowels": "zoo.data.recipes.japanese_vowels",
    "mnist": "zoo.data.recipes.mnist",
    "openclipart": "zoo.data.recipes.openclipart",
    "osu_leaf": "zoo.data.recipes.time_series",
    "pocketsphinx_speech": "zoo.data.recipes.pocketsphinx",
    "tuxpaint_be": "zoo.data.recipes.tuxpaint",
    "tuxpaint_bg": "zoo.data.recipes.tuxpaint",
    "tuxpaint_ca": "zoo.data.recipes.tuxpaint",
    "tuxpaint_el": "zoo.data.recipes.tuxpaint",
    "tuxpaint_es": "zoo.data.recipes.tuxpaint",
    "tuxpaint_fr": "zoo.data.recipes.tuxpaint",
    "tuxpaint_languages": "zoo.data.recipes.tuxpaint",
    "tuxpaint_ro": "zoo.data.recipes.tuxpaint",
    "tuxpaint_ru": "zoo.data.recipes.tuxpaint",
}


def recipe_of(name: str) -> AbstractRecipe:
    """Returns the recipe of a packaged data set."""
    if name not in RECIPES:
        raise UnknownNameError("packaged data set", name, RECIPES)
    return importlib.import_module(RECIPES[name]).RECIPES[name]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packaged(AbstractSource):
    """A data set of the table `RECIPES`, by its name there: `Packaged(name="digits")`.

    What comes with a dependency (digits) is prepared when first loaded, in about two seconds. What has to be
    downloaded is not: `zoo data fetch NAME`, or `zoo.data.fetch(NAME)`, does it once.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in RECIPES:
            raise UnknownNameError("packaged data set", self.name, RECIPES)

    def info(self) -> DataInfo:
        """Returns what the recipe states; needs neither the data nor TensorFlow."""
        return recipe_of(self.name).info

    def load(self, split: str) -> tf.data.Dataset:
        """Returns the raw examples of `split`; raises as `AbstractSource.load` does, and `DataError` if damaged."""
        recipe = recipe_of(self.name)
        split_ranges(split, recipe.info.num_examples)
        directory = prepared_directory(recipe)
        if not directory.exists():
            if recipe.packages:
                raise DataUnavailableError(
                    f"The data set {self.name} was not fetched yet: {directory} does not exist. Run "
                    f"`zoo data fetch {self.name}` once; it takes {_origin(recipe)}."
                )
            fetch(self.name)
        _check_intact(recipe)
        from zoo.data.reading import read_directory

        return read_directory(directory, split, repair=f"zoo data fetch {self.name}")


def prepared_directory(recipe: AbstractRecipe) -> Path:
    """Returns where the prepared data of a recipe is, or will be."""
    return tfds_root() / recipe.info.name / recipe.version


def fetch(name: str, progress: Callable[[str], None] | None = None) -> Path:
    """Downloads, verifies and prepares a packaged data set where that is not done yet, and repairs a damaged one.

    Two processes may do so at once: one works, the other waits and finds it done. An interrupted fetch leaves nothing
    that is taken for data; the next one starts over.

    Args:
        name: as in `RECIPES`.
        progress: is called with a line of text as each step begins, and every few seconds of a long one.

    Returns:
        The directory of the prepared data.

    Raises:
        UnknownNameError: no such packaged data set.
        DataUnavailableError: no client, or the client failed.
        DataError: what was downloaded is not what was checked when the recipe was written.
    """
    recipe = recipe_of(name)
    say = progress or (lambda line: None)
    directory = prepared_directory(recipe)
    if _is_intact(directory):
        return directory
    try:
        with locked(name), scratch_directory(name) as scratch:
            if not _is_intact(directory):  # another process may have done it meanwhile
                _make(recipe, scratch, say)
    except OSError as error:
        raise DataUnavailableError(
            f"Making {name} in {data_root()} failed: {error}. The directory must be writable and have about "
            f"{4 * recipe.size_bytes // 10**6 + 1} MB free; another one can be named in $ZOO_DATA_DIR."
        ) from error
    say(f"{name} is ready in {directory}")
    return directory


def _make(recipe: AbstractRecipe, scratch: Path, say: Callable[[str], None]) -> None:
    """Downloads what is missing, prepares in `scratch`, and moves the finished directory to its place."""
    name = recipe.info.name
    files = ensure_originals(recipe.packages, originals_directory(name), scratch, say)
    say(f"preparing {name}")
    recipe.prepare(scratch / "tfds", files, scratch, say)
    made = scratch / "tfds" / name / recipe.version
    write_manifest(made)
    replace_directory(made, prepared_directory(recipe), scratch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AvailableRow:
    """One line of `zoo data list`.

    Attributes:
        origin: the packages it is fetched from; "" where nothing is downloaded.
        status: "ready", "damaged" (a file is missing or has another size), "not fetched", or "made when first used".
        size_bytes: of the prepared data, about.
        splits: examples in each official split.
    """

    name: str
    kind: str
    origin: str
    status: str
    size_bytes: int
    splits: Mapping[str, int]
    licence: str
    citation: str


def available() -> tuple[AvailableRow, ...]:
    """Returns a row for each packaged data set; imports no TensorFlow and reads no data."""
    return tuple(_row(recipe_of(name)) for name in sorted(RECIPES))


def _row(recipe: AbstractRecipe) -> AvailableRow:
    info = recipe.info
    return AvailableRow(
        name=info.name,
        kind=recipe.kind,
        origin=_origin(recipe),
        status=_status(recipe),
        size_bytes=recipe.size_bytes,
        splits=info.num_examples,
        licence=info.licence,
        citation=info.citation,
    )


def _status(recipe: AbstractRecipe) -> str:
    directory = prepared_directory(recipe)
    if directory.exists():
        return "damaged" if fault_of(directory, sizes_only=True) else "ready"
    return "not fetched" if recipe.packages else "made when first used"


def _origin(recipe: AbstractRecipe) -> str:
    return ", ".join(f"{package.title} with {package.client}" for package in recipe.packages)


def _is_intact(directory: Path) -> bool:
    return directory.exists() and not fault_of(directory)


def _check_intact(recipe: AbstractRecipe) -> None:
    directory = prepared_directory(recipe)
    fault = fault_of(directory)
    if fault:
        raise DataError(
            f"The prepared data of {recipe.info.name} is damaged: {fault}. Run `zoo data fetch {recipe.info.name}`, "
            "which makes it anew."
        )
