"""What a run leaves on disk, and the only thing that anything after training reads.

`config.json` (the resolved experiment), `data.json` (names, forms and labels of the raw examples), `model.keras`,
`metrics.json`, `history.csv`, `plots/`, `checkpoints/`, `tensorboard/`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import registry
from zoo.config import Experiment, from_json, to_json
from zoo.data.base import DataInfo, TensorInfo
from zoo.errors import RunDirectoryError, UsageError

if TYPE_CHECKING:
    import keras

__all__ = ["RunDirectory", "load_model"]


def load_model(path: Path) -> keras.Model:
    """Returns the model of a `.keras` file, the zoo's own layers known.

    Raises:
        RunDirectoryError: the file is missing or damaged.
    """
    import keras

    if not path.is_file():
        raise RunDirectoryError(f"There is no model at {path}. Did training end? `zoo train --resume` goes on with it.")
    try:
        model = keras.saving.load_model(path, custom_objects=registry.custom_objects(), compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"The model at {path} cannot be read: {error}. Train or compress again.") from error
    assert isinstance(model, keras.Model)
    return model


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The paths of one run, and its documents read and written whole."""

    path: Path

    @classmethod
    def create(cls, path: Path | str, experiment: Experiment) -> RunDirectory:
        """Makes the directory and writes the experiment.

        Raises:
            RunDirectoryError: the directory is there and not empty.
        """
        document = to_json(experiment)
        run = cls.free(path)
        for folder in (run.plots, run.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        run._write("config.json", document)
        return run

    @classmethod
    def free(cls, path: Path | str) -> RunDirectory:
        """Returns the run that `create` would make, nothing written.

        Raises:
            RunDirectoryError: the directory is there and not empty.
        """
        run = cls(Path(path))
        if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
            raise RunDirectoryError(
                f"{run.path} is there already and not empty. Name another `--run-dir`, or, where `zoo train` was cut "
                "off in it, go on by `--resume`."
            )
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """Returns the run at `path`.

        Raises:
            RunDirectoryError: it holds no run.
        """
        run = cls(Path(path))
        if not (run.path / "config.json").is_file():
            state = "has no config.json" if run.path.is_dir() else "is no directory"
            raise RunDirectoryError(f"{run.path} {state}, so it is no run. `zoo train CONFIG --run-dir DIR` makes one.")
        return run

    @property
    def model_path(self) -> Path:
        """The trained model."""
        return self.path / "model.keras"

    @property
    def history_path(self) -> Path:
        """One line per epoch, as comma-separated values."""
        return self.path / "history.csv"

    @property
    def plots(self) -> Path:
        """Pictures of the run."""
        return self.path / "plots"

    @property
    def checkpoints(self) -> Path:
        """What `--resume` goes on from."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    def experiment(self) -> Experiment:
        """Returns the resolved experiment."""
        return from_json(self._read("config.json"))

    def write_info(self, info: DataInfo) -> None:
        """Writes `data.json`."""
        self._write("data.json", dataclasses.asdict(info))

    def info(self) -> DataInfo:
        """Returns what is known of the raw examples."""
        document = self._read("data.json")
        tensors = {
            name: TensorInfo(**{**tensor, "shape": tuple(tensor["shape"]), "names": tuple(tensor["names"])})
            for name, tensor in document["tensors"].items()
        }
        return DataInfo(**{**document, "tensors": tensors})

    def metrics(self) -> dict[str, Any]:
        """Returns `metrics.json`, empty before there is one."""
        return self._read("metrics.json") if (self.path / "metrics.json").is_file() else {}

    def update_metrics(self, update: Mapping[str, Any]) -> None:
        """Replaces the given top-level keys of `metrics.json`."""
        self._write("metrics.json", {**self.metrics(), **update})

    def load_model(self) -> keras.Model:
        """Returns the trained model, uncompiled."""
        return load_model(self.model_path)

    def save_model(self, model: keras.Model) -> None:
        """Writes `model.keras`; a crash on the way leaves an older one as it was."""
        temporary = self.path / ".model.tmp.keras"
        model.save(temporary)
        os.replace(temporary, self.model_path)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            raise RunDirectoryError(f"{self.path} has no {name}. Did its training end?") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path / name} is no JSON document: {error}.") from error

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        temporary = self.path / f".{name}.tmp"
        temporary.write_text(json.dumps(document, indent=2) + "\n")
        os.replace(temporary, self.path / name)
