"""Five data sets of the time series classification archives, with their official splits and values as they are there.

`frames` [T, D] have one length in each of them and are stated with one that varies, so that a mask comes with them as
with any other sequence. The files name most classes by a number only; the order is theirs.

| data set | examples | T | D | what is told apart |
|---|---|---|---|---|
| `gun_point` | 50 + 150 | 150 | 1 | by a hand's horizontal way: drawing a gun, pointing a finger |
| `italy_power_demand` | 67 + 1,029 | 24 | 1 | by a day's hourly demand of power: October to March, April to September |
| `osu_leaf` | 200 + 242 | 427 | 1 | by a leaf's outline: six species of maple and oak |
| `acsf1` | 100 + 100 | 1,460 | 1 | by the power taken: ten kinds of household appliances |
| `basic_motions` | 40 + 40 | 100 | 6 | by a watch's accelerometer and gyroscope, 10 a second: four activities |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from zoo.data.base import DataInfo, TensorInfo
from zoo.data.packages import PipPackage
from zoo.data.recipe import Example, GeneratedRecipe

__all__ = ["RECIPES", "ts_examples"]


def ts_examples(path: Path, classes: tuple[str, ...]) -> Iterator[tuple[str, Example]]:
    """Yields the examples of a `.ts` file: a line an example, a field a dimension, the class last.

    Args:
        path: of the file.
        classes: as the file names them, in the order of the ids.
    """
    import numpy as np

    text = path.read_text(encoding="utf-8")
    rows = text.split("@data", 1)[1].split()
    for position, row in enumerate(rows):
        *dimensions, name = row.split(":")
        frames = np.array([dimension.split(",") for dimension in dimensions], dtype=np.float32).T  # [T, D]
        yield f"{position:04d}", {"frames": frames, "label": classes.index(name)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Set:
    """A row of the table: `stem` of its files, `classes` as they name them, sha256 of both files."""

    stem: str
    width: int
    classes: tuple[str, ...]
    num_examples: Mapping[str, int]
    sha256: Mapping[str, str]
    size_bytes: int
    citation: str

    def examples(self, split: str, files: Path) -> Iterator[tuple[str, Example]]:
        return ts_examples(files / f"{self.stem}_{split.upper()}.ts", self.classes)

    def recipe(self, name: str) -> GeneratedRecipe:
        named = tuple(f"class_{text}" if text.isdigit() else text.lower() for text in self.classes)
        return GeneratedRecipe(
            info=DataInfo(
                name=name,
                tensors={
                    "frames": TensorInfo(shape=(None, self.width), dtype="float32"),
                    "label": TensorInfo(shape=(), dtype="int64", names=named),
                },
                num_examples=self.num_examples,
                licence="BSD-3-Clause (aeon); the archive states none",
                citation=self.citation,
            ),
            kind="sequence",
            version="1.0.0",
            size_bytes=self.size_bytes,
            homepage=f"https://www.timeseriesclassification.com/description.php?Dataset={self.stem}",
            packages=(
                PipPackage(
                    name="aeon",
                    version="1.6.0",
                    members={
                        f"aeon/datasets/data/{self.stem}/{self.stem}_{split.upper()}.ts": digest
                        for split, digest in self.sha256.items()
                    },
                ),
            ),
            examples=self.examples,
        )


_SETS: Mapping[str, _Set] = {
    "gun_point": _Set(
        stem="GunPoint",
        width=1,
        classes=("1", "2"),
        num_examples={"train": 50, "test": 150},
        sha256={
            "train": "f842401779fd9800d247d8b33121a1a4643710a19b24917dbdd9a060ca8630d5",
            "test": "79332750788a6227b325b96bd0d70130c8eb707b9731f8d7dec62b7a7d36017e",
        },
        size_bytes=130_000,
        citation=(
            "C. A. Ratanamahatana, E. Keogh (2005). Three Myths about Dynamic Time Warping Data Mining. SIAM "
            "International Conference on Data Mining."
        ),
    ),
    "italy_power_demand": _Set(
        stem="ItalyPowerDemand",
        width=1,
        classes=("1", "2"),
        num_examples={"train": 67, "test": 1029},
        sha256={
            "train": "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
            "test": "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
        },
        size_bytes=200_000,
        citation=(
            "E. Keogh, L. Wei, X. Xi, S. Lonardi, J. Shieh, S. Sirowy (2006). Intelligent Icons: Integrating "
            "Lite-Weight Data Mining and Visualization into GUI Operating Systems. ICDM."
        ),
    ),
    "osu_leaf": _Set(
        stem="OSULeaf",
        width=1,
        classes=("1", "2", "3", "4", "5", "6"),
        num_examples={"train": 200, "test": 242},
        sha256={
            "train": "86b9d6e860414ffd26cebc62fff84ffb37fa588ef3e5bf79e4094a437c36ddfc",
            "test": "6c549dd354f9e42d5985fa5fab75321ca9acefc7873457e71467fc8a31f107ce",
        },
        size_bytes=780_000,
        citation=(
            "A. Gandhi (2002). Content-Based Image Retrieval: Plant Species Identification. MSc thesis, Oregon State "
            "University."
        ),
    ),
    "acsf1": _Set(
        stem="ACSF1",
        width=1,
        classes=tuple("0123456789"),
        num_examples={"train": 100, "test": 100},
        sha256={
            "train": "0646b90dc4843e02baed6b2ba345c5601a4991b6796565489cef1b2d92a7537b",
            "test": "93e8aaeb44a10af181d24a156e60da7021193cd990ca28f263fccf3b905bfebf",
        },
        size_bytes=1_180_000,
        citation=(
            "C. Gisler, A. Ridi, D. Zufferey, O. Abou Khaled, J. Hennebert (2013). Appliance Consumption Signature "
            "Database and Recognition Test Protocols. WoSSPA."
        ),
    ),
    "basic_motions": _Set(
        stem="BasicMotions",
        width=6,
        classes=("Standing", "Running", "Walking", "Badminton"),
        num_examples={"train": 40, "test": 40},
        sha256={
            "train": "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
            "test": "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
        },
        size_bytes=200_000,
        citation=(
            "A. Bagnall, H. A. Dau, J. Lines et al. (2018). The UEA Multivariate Time Series Classification Archive, "
            "2018. https://arxiv.org/abs/1811.00075"
        ),
    ),
}

RECIPES = {name: row.recipe(name) for name, row in _SETS.items()}
