"""Configuration files: found by name or by path, listed by their docstrings."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from pathlib import Path

from zoo.config.convert import from_json, to_json
from zoo.config.experiment import Experiment
from zoo.errors import UnknownNameError, UsageError, ZooError

__all__ = ["find_config", "list_configs"]


def find_config(name_or_path: str) -> Experiment:
    """Returns what `config()` of a file returns.

    Args:
        name_or_path: the name of a file that ships with the zoo (`mnist_cnn`), or a path that ends in `.py`.

    Raises:
        UnknownNameError: no such name.
        UsageError: no such file, or the file is no configuration.
    """
    if name_or_path.endswith(".py"):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"There is no file {name_or_path!r}. Received as CONFIG; give a name or a path to a file.")
    else:
        files = _files()
        if name_or_path not in files:
            raise UnknownNameError("config", name_or_path, files)
        path = files[name_or_path]
    return _run(path)


def list_configs() -> dict[str, str]:
    """Returns the first line of each shipped configuration's docstring, by name; no file is run."""
    summaries = {}
    for name, path in _files().items():
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        summaries[name] = docstring.split("\n", 1)[0]
    return summaries


def _files() -> dict[str, Path]:
    package = Path(__file__).parent.parent
    # A wheel carries the files inside the package; in a checkout they stand beside it.
    folder = next((path for path in (package / "configs", package.parent / "configs") if path.is_dir()), None)
    if folder is None:
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}


def _run(path: Path) -> Experiment:
    spec = importlib.util.spec_from_file_location(f"zoo_config_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{path} is no Python file: {error}.") from error
    except Exception as error:
        raise _failed(path, error) from error
    config = getattr(module, "config", None)
    if not callable(config):
        raise UsageError(f"{path} has no function `config() -> Experiment`. Add one, as in configs/mnist_cnn.py.")
    try:
        experiment = config()
    except ZooError:
        raise
    except Exception as error:  # a misspelt field, most of the time
        raise _failed(path, error) from error
    if not isinstance(experiment, Experiment):
        raise UsageError(f"`config()` of {path} must return an Experiment. Received: {type(experiment).__name__}.")
    return from_json(to_json(experiment))  # each value checked by its annotation


def _failed(path: Path, error: Exception) -> UsageError:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    return UsageError(f"{where}: {type(error).__name__}: {error}.")
