"""Fashion-MNIST: 60,000 + 10,000 images of 28x28 pixels, of ten kinds of clothing.

The package holds the four original .gz files but for their headers, which Debian compressed anew without a file's name
and time. tfds's own builder checks the sha256 of the originals, so the headers are put back, bit for bit.
"""

from __future__ import annotations

import struct
from pathlib import Path

from zoo.data.apt import AptPackage
from zoo.data.base import DataInfo, TensorInfo
from zoo.data.recipe import TfdsRecipe

__all__ = ["RECIPES"]

_DIRECTORY = "usr/share/datasets/fashion-mnist"
_SHORT_HEADER_BYTES = 10

# Name of the raw file, to the modification time that its original archive states: 31 August 2017.
_MODIFIED_S = {
    "train-images-idx3-ubyte": 1504176606,
    "train-labels-idx1-ubyte": 1504176606,
    "t10k-images-idx3-ubyte": 1504176627,
    "t10k-labels-idx1-ubyte": 1504176627,
}


def _manual_files(files: Path, manual_dir: Path) -> None:
    for name, modified_s in _MODIFIED_S.items():
        packed = (files / _DIRECTORY / f"{name}.gz").read_bytes()
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", modified_s) + b"\x00\x03" + name.encode() + b"\0"
        (manual_dir / f"{name}.gz").write_bytes(header + packed[_SHORT_HEADER_BYTES:])


_RECIPE = TfdsRecipe(
    info=DataInfo(
        name="fashion_mnist",
        tensors={
            "image": TensorInfo(shape=(28, 28, 1), dtype="uint8"),
            "label": TensorInfo(
                shape=(),
                dtype="int64",
                names=(
                    "T-shirt/top",
                    "Trouser",
                    "Pullover",
                    "Dress",
                    "Coat",
                    "Sandal",
                    "Shirt",
                    "Sneaker",
                    "Bag",
                    "Ankle boot",
                ),
            ),
        },
        num_examples={"train": 60_000, "test": 10_000},
        licence="MIT",
        citation=(
            "H. Xiao, K. Rasul, R. Vollgraf (2017). Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
            "Learning Algorithms. https://arxiv.org/abs/1708.07747"
        ),
    ),
    kind="image",
    version="3.0.1",
    size_bytes=39_000_000,
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    packages=(
        AptPackage(
            name="dataset-fashion-mnist",
            version="0.0~git20200523.55506a9-1",
            sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            wanted=rf"{_DIRECTORY}/.*\.gz",
        ),
    ),
    manual_files=_manual_files,
)

RECIPES = {_RECIPE.info.name: _RECIPE}
