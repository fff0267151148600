"""Japanese Vowels: nine male speakers say /ae/; which of them speaks is told from 12 LPC cepstrum coefficients a frame.

270 + 370 utterances of 7 to 29 frames, the official split (30 utterances a speaker in train, 24 to 88 in test).
Values are as the archive states them: not scaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zoo.data.base import DataInfo, TensorInfo
from zoo.data.packages import PipPackage
from zoo.data.recipe import Example, GeneratedRecipe
from zoo.data.recipes.time_series import ts_examples

__all__ = ["RECIPES"]


def _examples(split: str, files: Path) -> Iterator[tuple[str, Example]]:
    return ts_examples(files / f"JapaneseVowels_{split.upper()}.ts", tuple("123456789"))


_RECIPE = GeneratedRecipe(
    info=DataInfo(
        name="japanese_vowels",
        tensors={
            "frames": TensorInfo(shape=(None, 12), dtype="float32"),
            "label": TensorInfo(shape=(), dtype="int64", names=tuple(f"speaker_{number}" for number in range(1, 10))),
        },
        num_examples={"train": 270, "test": 370},
        licence="CC BY 4.0 (UCI), BSD-3-Clause (aeon)",
        citation=(
            "M. Kudo, J. Toyama, M. Shimbo (1999). Multidimensional Curve Classification Using Passing-Through "
            "Regions. Pattern Recognition Letters 20 (11-13), 1103-1111. "
            "https://archive.ics.uci.edu/ml/datasets/Japanese+Vowels"
        ),
    ),
    kind="sequence",
    version="1.0.0",
    size_bytes=600_000,
    homepage="https://www.timeseriesclassification.com/description.php?Dataset=JapaneseVowels",
    packages=(
        PipPackage(
            name="aeon",
            version="1.6.0",
            members={
                "aeon/datasets/data/JapaneseVowels/JapaneseVowels_TRAIN.ts": (
                    "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd"
                ),
                "aeon/datasets/data/JapaneseVowels/JapaneseVowels_TEST.ts": (
                    "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462"
                ),
            },
        ),
    ),
    examples=_examples,
)

RECIPES = {_RECIPE.info.name: _RECIPE}
