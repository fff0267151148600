"""Data: a named source in, a `tf.data.Dataset` of raw examples out.

`Tfds` for what tensorflow-datasets knows, `Packaged` for real data that ships inside public packages, `Synthetic` for
made-up data; `batches` turns a split of any of them into padded, shuffled batches. Importing this imports no
TensorFlow.
"""

from zoo.data.base import AbstractSource, DataInfo, TensorInfo
from zoo.data.packaged import AvailableRow, Packaged, available, fetch
from zoo.data.pipeline import batches, take_arrays
from zoo.data.synthetic import Synthetic
from zoo.data.tfds_source import Tfds

__all__ = [
    "AbstractSource",
    "AvailableRow",
    "DataInfo",
    "Packaged",
    "Synthetic",
    "TensorInfo",
    "Tfds",
    "available",
    "batches",
    "fetch",
    "take_arrays",
]
