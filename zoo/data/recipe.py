"""How a packaged data set is made: what it is, the packages it comes from, and its preparation through tfds."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.data.base import DataInfo, TensorInfo
from zoo.data.grouping import named_unreadable
from zoo.data.packages import AbstractPackage
from zoo.errors import DataError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

__all__ = ["AbstractRecipe", "GeneratedRecipe", "TfdsRecipe"]

Example = Mapping[str, Any]
Item = TypeVar("Item")

_PROGRESS_EVERY_S = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractRecipe(abc.ABC):
    """What is known of a packaged data set, and how it is prepared.

    Attributes:
        info: as a user of the prepared data sees it; also what the tfds builder states.
        kind: what an example is, in one word: "image", "sequence", "speech".
        version: of the prepared form; another version is prepared anew, beside the old one.
        size_bytes: of the prepared data, about.
        homepage: of the data.
        packages: what is downloaded; none where the data comes with a dependency.
    """

    info: DataInfo
    kind: str
    version: str
    size_bytes: int
    homepage: str
    packages: tuple[AbstractPackage, ...] = ()

    @abc.abstractmethod
    def prepare(self, data_dir: Path, originals: Path, scratch: Path, progress: Callable[[str], None]) -> None:
        """Writes `data_dir/<name>/<version>/` from the verified files in `originals`.

        Args:
            progress: is called with a line of text every few seconds.

        Raises:
            DataError: what is made is not what the recipe states.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratedRecipe(AbstractRecipe):
    """A data set of our own, prepared by a `tfds.core.GeneratorBasedBuilder`.

    Attributes:
        examples: split name and directory of originals in, (key, example) pairs out; keys are unique in a split.
        arrange: what is to be done once for all splits before `examples` is called: may write to the directory of
            originals, which is a passing copy, and calls its second argument as `prepare` calls `progress`.
    """

    examples: Callable[[str, Path], Iterator[tuple[str, Example]]]
    arrange: Callable[[Path, Callable[[str], None]], None] | None = None

    def prepare(self, data_dir: Path, originals: Path, scratch: Path, progress: Callable[[str], None]) -> None:
        """Writes `data_dir/<name>/<version>/` from what `examples` yields."""
        visible = _Streams()
        with named_unreadable() as unreadable:
            if self.arrange is not None:
                self.arrange(originals, progress)
            splits = {
                split: visible.during(
                    _reported(self.examples(split, originals), f"{self.info.name} {split}", n, progress)
                )
                for split, n in self.info.num_examples.items()
            }
            builder = _generator_builder(self, data_dir, splits)
            _download_and_prepare(builder, self, scratch, scratch / "none")
        _check_numbers(builder, self, unreadable)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsRecipe(AbstractRecipe):
    """A data set of tfds, prepared by its own builder, with its own checksums, from local files.

    Attributes:
        manual_files: writes the files that the builder would download, under the names its checksums give them, from
            the directory of originals into an empty directory.
    """

    manual_files: Callable[[Path, Path], None]

    def prepare(self, data_dir: Path, originals: Path, scratch: Path, progress: Callable[[str], None]) -> None:
        """Writes `data_dir/<name>/<version>/` from the files that `manual_files` writes."""
        import tensorflow_datasets as tfds

        manual_dir = scratch / "manual"
        manual_dir.mkdir()
        self.manual_files(originals, manual_dir)
        builder = tfds.builder(f"{self.info.name}:{self.version}", data_dir=data_dir)
        _download_and_prepare(builder, self, scratch, manual_dir)
        _check_numbers(builder, self, [])


class _Streams:
    """The standard streams as they are now, for code that runs while others are silenced."""

    def __init__(self) -> None:
        self._out, self._err = sys.stdout, sys.stderr

    def during(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yields what `items` yields; what runs to make an item writes to these streams."""
        end = object()
        while True:
            with contextlib.redirect_stdout(self._out), contextlib.redirect_stderr(self._err):
                item: Any = next(items, end)
            if item is end:
                return
            yield item


def _reported(
    examples: Iterator[Item], title: str, num_examples: int, progress: Callable[[str], None]
) -> Iterator[Item]:
    """Yields `examples` and says every few seconds how many there were."""
    said_s = time.monotonic()
    for count, example in enumerate(examples, start=1):
        if time.monotonic() - said_s > _PROGRESS_EVERY_S:
            said_s = time.monotonic()
            progress(f"preparing {title}: {count} of {num_examples}")
        yield example


def _download_and_prepare(
    builder: tfds.core.DatasetBuilder, recipe: AbstractRecipe, scratch: Path, manual_dir: Path
) -> None:
    """Prepares without the network, silently: tfds prints bars to standard error, our callers have their own."""
    from tensorflow_datasets.core.download import DownloadConfig
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_dir=scratch / "downloads",
                download_config=DownloadConfig(manual_dir=manual_dir, try_download_gcs=False),
            )
    except NonMatchingChecksumError as error:
        raise DataError(f"A file made for {builder.info.full_name} is not the original bit for bit. {error}") from error


def _check_numbers(builder: tfds.core.DatasetBuilder, recipe: AbstractRecipe, unreadable: Sequence[str]) -> None:
    """Raises `DataError` unless the examples made are those of the recipe, but for the files that cannot be read."""
    made = {name: split.num_examples for name, split in builder.info.splits.items()}
    stated = dict(recipe.info.num_examples)
    num_missing = sum(stated.values()) - sum(made.values())
    if made == stated or (made.keys() == stated.keys() and 0 <= num_missing <= len(unreadable) != 0):
        return
    raise DataError(
        f"Preparing {recipe.info.name} made other examples than when its recipe was checked: expected {stated}, "
        f"received {made}, with {len(unreadable)} files that cannot be read. The files are those that were checked, so "
        "a library that reads them differs."
    )


def _generator_builder(
    recipe: GeneratedRecipe, data_dir: Path, splits: Mapping[str, Iterator[tuple[str, Example]]]
) -> tfds.core.GeneratorBasedBuilder:
    import tensorflow_datasets as tfds

    info = recipe.info

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = info.name
        VERSION = tfds.core.Version(recipe.version)

        def _info(self) -> tfds.core.DatasetInfo:
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"{info.name}, packaged by the zoo from {_origin(recipe)}.",
                features=tfds.features.FeaturesDict(
                    {name: _feature(name, tensor) for name, tensor in info.tensors.items()}
                ),
                homepage=recipe.homepage,
                citation=info.citation,
                license=info.licence,
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, Example]]]:
            return {
                split: ((key, _stored(example, info)) for key, example in examples)
                for split, examples in splits.items()
            }

        def _generate_examples(self) -> None:
            raise NotImplementedError("examples come from `_split_generators`")

    return Builder(data_dir=data_dir)


def _stored(example: Example, info: DataInfo) -> Example:
    """Returns an example as the builder's features take it: sound as bytes.

    `tfds.features.Audio` encodes a file so, but hands an array on as it is, which its own serializer then refuses.
    """
    import numpy as np

    sounds = [name for name, tensor in info.tensors.items() if tensor.sample_rate_hz]
    arrays = {name: np.asarray(example[name], dtype=info.tensors[name].dtype) for name in sounds}
    return {**example, **{name: np.array(array.tobytes(), dtype=object) for name, array in arrays.items()}}


def _origin(recipe: AbstractRecipe) -> str:
    return ", ".join(f"{package.client} package {package.title}" for package in recipe.packages) or "a dependency"


def _feature(name: str, tensor: TensorInfo) -> Any:
    """Returns the tfds feature of one tensor: a class label where it has names, an image or sound by its form."""
    import numpy as np
    import tensorflow_datasets as tfds

    if tensor.names:
        return tfds.features.ClassLabel(names=list(tensor.names))
    if tensor.sample_rate_hz:
        dtype: Any = np.dtype(tensor.dtype)
        # as bytes (`_stored`): a protocol buffer's integer takes ten of them where it is negative
        return tfds.features.Audio(
            shape=tensor.shape, dtype=dtype, sample_rate=tensor.sample_rate_hz, encoding=tfds.features.Encoding.BYTES
        )
    if name == "image" and tensor.dtype == "uint8" and len(tensor.shape) == 3:
        return tfds.features.Image(shape=tensor.shape)
    if tensor.dtype == "string" and not tensor.shape:
        return tfds.features.Text()
    return tfds.features.Tensor(shape=tensor.shape, dtype=np.dtype(tensor.dtype))
