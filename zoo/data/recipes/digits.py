"""Handwritten digits of scikit-learn: 1,797 images of 8x8 pixels, no download.

The pixels keep their original values, 0 to 16, as uint8. scikit-learn states no split; ours is fixed and stratified:
with the images in order of class, then of position, every fifth from the first on is test: 1,437 train, 360 test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.data.base import DataInfo, TensorInfo
from zoo.data.recipe import Example, GeneratedRecipe

__all__ = ["RECIPES"]


def _examples(split: str, originals: Path) -> Iterator[tuple[str, Example]]:
    import numpy as np
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    by_class = np.argsort(digits.target, kind="stable")
    is_test = np.arange(len(by_class)) % 5 == 0
    for position in by_class[is_test == (split == "test")]:
        image = digits.images[position].astype(np.uint8)[..., np.newaxis]  # [H, W, C]
        yield f"{position:04d}", {"image": image, "label": int(digits.target[position])}


_RECIPE = GeneratedRecipe(
    info=DataInfo(
        name="digits",
        tensors={
            "image": TensorInfo(shape=(8, 8, 1), dtype="uint8"),
            "label": TensorInfo(shape=(), dtype="int64", names=tuple("0123456789")),
        },
        num_examples={"train": 1437, "test": 360},
        licence="CC BY 4.0 (UCI), BSD-3-Clause (scikit-learn)",
        citation=(
            "E. Alpaydin, C. Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning "
            "Repository. https://doi.org/10.24432/C50P49. Test part, as shipped with scikit-learn."
        ),
    ),
    kind="image",
    version="1.0.0",
    size_bytes=330_000,
    homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
    examples=_examples,
)

RECIPES = {_RECIPE.info.name: _RECIPE}
