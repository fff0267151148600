"""Reads data that tfds has prepared, and says in words what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.splits import check_split_names
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

__all__ = ["read_builder", "read_directory"]


def read_directory(directory: Path, split: str, *, repair: str) -> tf.data.Dataset:
    """Returns the raw examples of `split` of the prepared data in `directory`.

    Args:
        repair: the command that makes the data anew, for the message of an error.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(directory)
    except Exception as error:  # whatever a broken JSON file leads tfds to
        raise DataError(f"{directory} cannot be read as a data set: {error}. Run `{repair}`.") from error
    return read_builder(builder, split, repair=repair)


def read_builder(builder: tfds.core.DatasetBuilder, split: str, *, repair: str) -> tf.data.Dataset:
    """Returns the raw examples of `split` of a builder whose data is prepared, in one fixed order.

    Raises:
        UnknownNameError: no such split.
        UsageError: the slice cannot be read.
        DataError: the split holds no example, or a file of it is missing or cut short.
    """
    import tensorflow_datasets as tfds

    if builder.info.splits:  # not known of the stand-ins of `tfds.testing.mock_data`
        check_split_names(split, {name: info.num_examples for name, info in builder.info.splits.items()})
        _check_files(builder, repair)
    try:
        as_dataset: Any = builder.as_dataset  # decorated: its parameters are lost to the type checker
        examples = as_dataset(split=split, shuffle_files=False, read_config=tfds.ReadConfig(try_autocache=False))
    except (ValueError, AssertionError, KeyError) as error:
        if "no data" in str(error):
            raise DataError(f"The split {split!r} of {builder.info.full_name} holds no example.") from error
        raise UsageError(f"The split {split!r} of {builder.info.full_name} cannot be read: {error}.") from error
    if examples.cardinality() == 0:
        raise DataError(f"The split {split!r} of {builder.info.full_name} holds no example.")
    return examples


def _check_files(builder: tfds.core.DatasetBuilder, repair: str) -> None:
    """Raises `DataError` where a file is missing, or is not as long as the number of its records asks for."""
    framing_bytes = 16  # a TFRecord has a length and two checksums around each example
    is_tfrecord = builder.info.file_format is not None and builder.info.file_format.name == "TFRECORD"
    for name, info in builder.info.splits.items():
        paths = [Path(path) for path in info.filepaths]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise DataError(f"{missing[0]} of the split {name!r} is missing. Run `{repair}`.")
        expected = info.num_bytes + framing_bytes * info.num_examples
        received = sum(path.stat().st_size for path in paths)
        if is_tfrecord and info.num_bytes and received != expected:
            raise DataError(
                f"The files of the split {name!r} in {paths[0].parent} have {received} bytes together where "
                f"{expected} were written. Run `{repair}`."
            )
