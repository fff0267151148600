"""Any data set of tensorflow-datasets by its name there: prepared data first, then local files, then download."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.arrays import tensor_specs
from zoo.data.base import AbstractSource, DataInfo, TensorInfo
from zoo.data.network import check_reachable
from zoo.data.packaged import RECIPES
from zoo.data.reading import read_builder
from zoo.data.storage import locked, tfds_root
from zoo.errors import DataError, DataUnavailableError, UnknownNameError, UsageError, ZooError

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

__all__ = ["Tfds"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds(AbstractSource):
    """A data set of tensorflow-datasets: `Tfds(name="cifar10")`, `Tfds(name="glue/sst2")`, `Tfds(name="mnist:3.0.1")`.

    What is prepared is read and the network not touched. Else the builder prepares it, from the original files where
    they are in `manual_dir` or were downloaded before, and from their hosts where they are not. Tensors have the
    names that tfds gives them; a nested feature is named by its path, `objects/bbox`.

    Attributes:
        name: as `tfds.load` takes it.
        data_dir: where prepared data is looked for and written; `None` for tfds's own default (`$TFDS_DATA_DIR`, or
            `~/tensorflow_datasets`) and, to read only, the directory of `zoo data fetch`.
        manual_dir: holds original files under the names that the builder's checksums give them, or what the builder
            asks to be fetched by hand.
    """

    name: str
    data_dir: str | None = None
    manual_dir: str | None = None

    def info(self) -> DataInfo:
        """Returns what the builder states; of data that is not prepared it does not know the number of examples."""
        info = self._builder().info
        return DataInfo(
            name=info.full_name,
            tensors=_tensors(info),
            num_examples={name: split.num_examples for name, split in info.splits.items()},
            licence=info.redistribution_info.license,
            citation=info.citation,
        )

    def load(self, split: str) -> tf.data.Dataset:
        """Returns the raw examples of `split`, once the data is prepared, which the first call sees to."""
        builder = self._builder()
        tensors = _tensors(builder.info)
        if not builder.data_path.exists():
            _prepare(builder, self)
        examples = read_builder(builder, split, repair=f"rm -r {builder.data_path}")
        return examples if set(tensors) == set(tensor_specs(examples)) else examples.map(_flat)

    def _builder(self) -> tfds.core.DatasetBuilder:
        """Returns the builder of the first directory that holds the data prepared, else of the first directory."""
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.constants import get_default_data_dir
        from tensorflow_datasets.core.registered import DatasetNotFoundError

        default_dir = Path(get_default_data_dir()).expanduser()
        directories = [Path(self.data_dir).expanduser()] if self.data_dir else [default_dir, tfds_root()]
        builders = []
        for directory in directories:
            with contextlib.suppress(DatasetNotFoundError):
                builders.append(self._builder_in(directory))
        if not builders:
            name = self.name.split("/")[0].split(":")[0]
            names = tfds.list_builders()
            raise UnknownNameError(
                "tfds data set", name, difflib.get_close_matches(name, names, n=8, cutoff=0.4) or names[:8]
            )
        return next((builder for builder in builders if builder.data_path.exists()), builders[0])

    def _builder_in(self, directory: Path) -> tfds.core.DatasetBuilder:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.registered import DatasetNotFoundError

        try:
            return tfds.builder(self.name, data_dir=directory)
        except DatasetNotFoundError:
            raise
        except (ValueError, AssertionError, TypeError) as error:
            self._check_configuration()
            raise UsageError(f"tfds cannot make the data set {self.name!r}: {error}") from error
        except Exception as error:  # whatever a broken file of prepared data leads tfds to
            raise DataError(
                f"What is prepared of {self.name} in {directory} cannot be read: {error}. Remove the directory of that "
                "version, or give another `data_dir`."
            ) from error

    def _check_configuration(self) -> None:
        """Raises `UnknownNameError` where the part of the name after `/` is no configuration of the data set."""
        import tensorflow_datasets as tfds

        name, _, configuration = self.name.split(":")[0].partition("/")
        known = tfds.builder_cls(name).builder_configs
        if configuration and configuration not in known:
            raise UnknownNameError(f"configuration of {name}", configuration, known)


def _prepare(builder: tfds.core.DatasetBuilder, source: Tfds) -> None:
    """Downloads and prepares, and turns what may go wrong into an error that says what to do."""
    from tensorflow_datasets.core.download import DownloadConfig
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    _check_hosts_first(builder)
    config = DownloadConfig(manual_dir=source.manual_dir, try_download_gcs=False)
    try:
        # tfds prints to standard output, which belongs to the results of a command
        with locked(f"tfds-{builder.name}"), contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=config)
    except ZooError as error:
        raise type(error)(f"{error} {_offline_way(builder, source)}") from error
    except DownloadError as error:
        message = f"{builder.info.full_name} could not be downloaded: {error}. {_offline_way(builder, source)}"
        raise DataUnavailableError(message) from error
    except NonMatchingChecksumError as error:
        raise DataError(f"A file of {builder.info.full_name} is not the one that tfds knows. {error}") from error
    except AssertionError as error:  # a directory to be filled by hand is missing or empty
        raise DataUnavailableError(f"{error} Then give its path as `manual_dir`.") from error
    except ImportError as error:
        raise DataUnavailableError(
            f"Preparing {builder.info.full_name} needs another package: {error}. Install it and try again."
        ) from error
    except OSError as error:
        message = f"{builder.info.full_name} could not be prepared: {error}. {_offline_way(builder, source)}"
        raise DataUnavailableError(message) from error


def _check_hosts_first(builder: tfds.core.DatasetBuilder) -> None:
    """Makes the builder try a host before it downloads from it.

    tfds asks a host that does not answer for 170 to 210 s. Its download manager calls `_download` for a file that it
    has found neither in `manual_dir` nor among earlier downloads, so this is where a host is known to be needed.
    """
    patched: Any = builder
    make_manager = patched._make_download_manager

    def make_checking_manager(**kwargs: Any) -> Any:
        manager = make_manager(**kwargs)
        download = manager._download

        def checked_download(resource: Any) -> Any:
            check_reachable(resource.url)
            return download(resource)

        manager._download = checked_download
        return manager

    patched._make_download_manager = make_checking_manager


def _offline_way(builder: tfds.core.DatasetBuilder, source: Tfds) -> str:
    ways = []
    if builder.name in RECIPES:
        ways.append(f"run `zoo data fetch {builder.name}`, which needs a package registry only")
    names = sorted({info.filename for info in (builder.url_infos or {}).values() if info.filename})
    if names:
        files = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        ways.append(f"put the original files ({files}) into a directory and give it as `manual_dir`")
    ways.append(
        f"copy {builder.data_path} from a machine that has prepared it and give the directory above "
        f"{builder.name}/ as `data_dir` (now: {source.data_dir})"
    )
    ways.append("or set HTTPS_PROXY if the network is behind a proxy")
    return "Without that host: " + "; ".join(ways) + "."


def _tensors(info: tfds.core.DatasetInfo) -> dict[str, TensorInfo]:
    """Returns the form of each tensor of a raw example."""
    forms = info.features.get_tensor_info() if info.features else None
    if not isinstance(forms, dict):
        raise DataError(f"The examples of {info.full_name} are not dictionaries of tensors. Received: {forms}.")
    return {name: _tensor(form, _feature_at(info.features, name)) for name, form in _flat(forms).items()}


def _feature_at(features: Any, path: str) -> Any:
    """Returns the tfds feature at the path of a tensor; None inside of one that is no dictionary."""
    for part in path.split("/"):
        features = features[part] if hasattr(features, "keys") and part in features else None
    return features


def _tensor(form: Any, feature: Any) -> TensorInfo:
    import tensorflow as tf

    return TensorInfo(
        shape=tuple(form.shape),
        dtype=tf.as_dtype(form.dtype).name,
        names=tuple(getattr(feature, "names", None) or ()),
        sample_rate_hz=getattr(feature, "sample_rate", None),
    )


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a dictionary of dictionaries as one, with paths for names."""
    flat = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
