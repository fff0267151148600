"""Open Clip Art: drawings of eight categories, scaled to 32x32 pixels, to be told apart.

The eight largest of the package's categories but `unsorted`. A drawing is laid on white, scaled by an antialiasing
filter (Lanczos) so that its longer side has 32 pixels, and centred on white.

Left out, each counted in the log, of 6,001: images of more than 40 million pixels by their header, before anything is
decoded (16, up to 623 million pixels); files that cannot be read, each named (none with Pillow 13); drawings that are
there already, pixel by pixel in their full size (63); drawings that stand in several categories (10); drawings that are
white all over (5); and, of more than 20 drawings of one series, such as 1,376 computed stars, all but 20 (1,933). A
series is one folder's drawings whose names begin with the same word, and what is nearly the same as one of them. Links
in the package's folders are not followed.

Splits. A series (`crawfish1_bw`, `crawfish2`) is often one drawing in several forms, so it goes to one split. In each
category the series are put in order by the hash of their names and cut after about 70% and 85% of its drawings: train,
validation, test. Two drawings are nearly the same where at 32x32 pixels, as darkness on white, they differ by at most a
tenth of the darker one's; no two such are in different splits.

Baseline. `RandomForestClassifier(200, random_state=0)` of scikit-learn 1.9 on the 3,072 values of an image, fitted on
train: accuracy 0.590 on validation and 0.588 on test, where always answering `computer` gives 0.432 and 0.412.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from zoo.data.apt import AptPackage
from zoo.data.base import DataInfo, TensorInfo
from zoo.data.grouping import LeftOut, groups_of, split_evenly
from zoo.data.recipe import Example, GeneratedRecipe

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

__all__ = ["RECIPES"]

_IMAGES = "usr/share/openclipart/png"
_CATEGORIES = (
    "animals",
    "computer",
    "food",
    "people",
    "recreation",
    "shapes",
    "signs_and_symbols",
    "transportation",
)
_SIDE = 32
_MAX_PIXELS = 40_000_000
_MAX_ALIKE = 20
_TOLERANCE = 0.1
_ARRANGED = "arranged.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Drawing:
    """One image: `path` below its category's folder and with it, `digest` of its pixels in full size, `small` uint8
    [32, 32, 3]."""

    path: str
    digest: str
    small: np.ndarray

    @property
    def category(self) -> str:
        return PurePosixPath(self.path).parts[0]

    @property
    def alike(self) -> str:
        """Folder and first word, which drawings of one series have in common."""
        path = PurePosixPath(self.path)
        words = re.findall("[a-z]+", path.stem.lower())
        return f"{path.parent}/{words[0] if words else ''}"


def fitted(image: Image.Image, side: int) -> np.ndarray:
    """Returns an image on white as uint8 [side, side, 3], its aspect kept, centred."""
    import numpy as np
    from PIL import Image

    rgba = image.convert("RGBA")
    flat = Image.new("RGB", rgba.size, "white")
    flat.paste(rgba, mask=rgba.getchannel("A"))
    scale = side / max(flat.size)
    width, height = (max(1, round(length * scale)) for length in flat.size)
    scaled = flat.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGB", (side, side), "white")
    square.paste(scaled, ((side - width) // 2, (side - height) // 2))
    return np.asarray(square)


def _drawing(path: Path, root: Path, left_out: LeftOut) -> _Drawing | None:
    """Reads one image, or counts why it is left out."""
    from PIL import Image

    name = path.relative_to(root).as_posix()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we ask for the size ourselves
            image = Image.open(path)
        with image:
            if image.width * image.height > _MAX_PIXELS:
                left_out.count("of more than 40 million pixels")
                return None
            digest = hashlib.sha256(image.convert("RGBA").tobytes() + repr(image.size).encode()).hexdigest()
            return _Drawing(path=name, digest=digest, small=fitted(image, _SIDE))
    except Image.DecompressionBombError:
        left_out.count("of more than 40 million pixels")
    except (OSError, ValueError, SyntaxError) as error:  # Pillow says so of a broken PNG
        left_out.unreadable(name, error)
    return None


def _arrange(files: Path, progress: Callable[[str], None]) -> None:
    """Reads every image once, decides its split, and writes all to one file for `_examples`."""
    import numpy as np

    root, left_out, drawings, said_s = files / _IMAGES, LeftOut("openclipart"), [], time.monotonic()
    paths = [path for category in _CATEGORIES for path in sorted((root / category).rglob("*.png"))]
    for position, path in enumerate(paths):
        drawing = _drawing(path, root, left_out)
        if drawing is not None:
            drawings.append(drawing)
        if time.monotonic() - said_s > 5.0:
            said_s = time.monotonic()
            progress(f"preparing openclipart: {position} of {len(paths)} images are read")
    splits = _splits(drawings, left_out)
    chosen = [drawing for drawing in drawings if drawing.path in splits]
    left_out.close(len(chosen))
    np.savez(
        files / _ARRANGED,
        paths=np.array([drawing.path for drawing in chosen]),
        splits=np.array([splits[drawing.path] for drawing in chosen]),
        images=np.array([drawing.small for drawing in chosen]),
    )


def nearly_same(images: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns the pairs of images that differ by at most a share of the darker one's darkness, int64 [P, 2].

    Args:
        images: uint8 [N, H, W, C], on white.
        tolerance: the share.
    """
    import numpy as np

    darkness = 255 - images.reshape(len(images), -1).astype("float32")
    total = darkness.sum(axis=-1)
    pairs = []
    for row in range(len(images)):
        most = tolerance * np.maximum(total[row + 1 :], total[row])
        near = row + 1 + np.flatnonzero(np.abs(total[row + 1 :] - total[row]) <= most)  # what else cannot be
        if len(near):
            differs = np.abs(darkness[near] - darkness[row]).sum(axis=-1)
            near = near[differs <= tolerance * np.maximum(total[near], total[row])]
            pairs.append(np.stack([np.full(len(near), row), near], axis=-1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), "int64")


def _splits(drawings: list[_Drawing], left_out: LeftOut) -> dict[str, str]:
    """Returns the split of each drawing that is not left out, by its path."""
    import numpy as np

    distinct = list(_distinct(drawings, left_out))
    traits = {drawing.path: {drawing.alike} for drawing in distinct}
    for drawing in drawings:  # a copy that is left out still ties the series it stands in to the one that is kept
        traits.setdefault(drawing.path, {drawing.alike}).add(f"{drawing.category} {drawing.digest}")
    strays = set()
    for pair in nearly_same(np.array([drawing.small for drawing in distinct]), _TOLERANCE):
        one, other = (distinct[index] for index in pair)
        if one.category != other.category:
            strays |= {one.path, other.path}
        else:
            traits[one.path].add(f"like {one.path}")
            traits[other.path].add(f"like {one.path}")
    left_out.count("that stand in several categories", len(strays))
    groups = groups_of(traits)
    members: dict[str, dict[str, list[str]]] = {category: collections.defaultdict(list) for category in _CATEGORIES}
    for drawing in distinct:
        if drawing.path in strays:
            continue
        members[drawing.category][groups[drawing.path]].append(drawing.path)
    splits = {}
    for by_group in members.values():
        for group, paths in by_group.items():
            left_out.count("of a series of more than 20", len(paths[_MAX_ALIKE:]))
            by_group[group] = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())[:_MAX_ALIKE]
        split_of_group = split_evenly({group: len(paths) for group, paths in by_group.items()})
        splits.update({path: split_of_group[group] for group, paths in by_group.items() for path in paths})
    return splits


def _distinct(drawings: list[_Drawing], left_out: LeftOut) -> Iterator[_Drawing]:
    """Yields each drawing once that stands in one category and is not white all over."""
    categories, seen = collections.defaultdict(set), set()
    for drawing in drawings:
        categories[drawing.digest].add(drawing.category)
    for drawing in drawings:
        if drawing.small.min() == 255:
            left_out.count("white all over")
        elif len(categories[drawing.digest]) > 1:
            left_out.count("that stand in several categories")
        elif drawing.digest in seen:
            left_out.count("that are there already")
        else:
            seen.add(drawing.digest)
            yield drawing


def _examples(split: str, files: Path) -> Iterator[tuple[str, Example]]:
    import numpy as np

    with np.load(files / _ARRANGED) as arranged:
        images, splits = arranged["images"], arranged["splits"]
        for position, path in enumerate(arranged["paths"].tolist()):
            if splits[position] == split:
                yield path, {"image": images[position], "label": _CATEGORIES.index(path.split("/")[0])}


_RECIPE = GeneratedRecipe(
    info=DataInfo(
        name="openclipart",
        tensors={
            "image": TensorInfo(shape=(_SIDE, _SIDE, 3), dtype="uint8"),
            "label": TensorInfo(shape=(), dtype="int64", names=_CATEGORIES),
        },
        num_examples={"train": 2786, "validation": 583, "test": 605},
        licence="Public domain (Creative Commons Public Domain Dedication)",
        citation="Open Clip Art Library 0.18 (2005), drawings of its contributors. https://openclipart.org",
    ),
    kind="image",
    version="1.1.0",
    size_bytes=5_220_000,
    homepage="https://openclipart.org",
    packages=(
        AptPackage(
            name="openclipart-png",
            version="1:0.18+dfsg-19",
            sha256="f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
            wanted=rf"{_IMAGES}/({'|'.join(_CATEGORIES)})/.*\.png",
        ),
    ),
    arrange=_arrange,
    examples=_examples,
)

RECIPES = {_RECIPE.info.name: _RECIPE}
