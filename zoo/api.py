"""The functions of `zoo` for a program: build, compress, export, and load what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import registry
from zoo.config import build_from
from zoo.exporting.export import export
from zoo.training.compress import compress
from zoo.training.run_directory import load_model as _load_model

if TYPE_CHECKING:
    import keras

__all__ = ["build", "compress", "export", "load_model"]


def build(family: str, *, preset: str | None = None, **hyperparameters: Any) -> keras.Model:
    """Returns a new functional `keras.Model` of a family, uncompiled.

    Args:
        family: a name from `zoo list models`.
        preset: a named set of hyperparameters, which the others override.
        **hyperparameters: the fields of the family.

    Raises:
        UnknownNameError: no such family, preset or hyperparameter; the message names the nearest.
        UsageError: a value of the wrong kind or out of range.

    Example:
        >>> import zoo
        >>> zoo.build("conv2d", preset="dense64", num_classes=10).count_params()
        121930
    """
    cls = registry.lookup(registry.MODELS, "model", family)
    values = {**cls.PRESETS[preset], **hyperparameters} if preset in cls.PRESETS else hyperparameters
    if preset is not None and preset not in cls.PRESETS:
        cls.preset(preset)  # raises, with the names that exist
    return build_from(cls, values, family).build()


def load_model(path: Path | str) -> keras.Model:
    """Returns the model of a `.keras` file, or of a run directory; the zoo's own layers are known.

    Raises:
        RunDirectoryError: the file is missing or damaged.
    """
    path = Path(path)
    return _load_model(path / "model.keras" if path.is_dir() else path)
