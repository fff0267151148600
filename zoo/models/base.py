"""What a family of models is: hyperparameters in, an uncompiled functional `keras.Model` out."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from zoo.errors import InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    import keras

__all__ = ["AbstractModel", "require_positive", "require_rate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractModel(abc.ABC):
    """Hyperparameters of one network, checked when they are given.

    Inputs and outputs of the model built are dictionaries with the tensors' own names. `PRESETS` names sets of
    hyperparameters that are in use.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @abc.abstractmethod
    def build(self) -> keras.Model:
        """Returns a new functional model with fresh weights; compiles nothing, reads nothing."""

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Self:
        """Returns the named preset with single hyperparameters replaced.

        Raises:
            UnknownNameError: no preset of that name.
        """
        if name not in cls.PRESETS:
            raise UnknownNameError(f"preset of `{cls.__name__}`", name, cls.PRESETS)
        return cls(**{**cls.PRESETS[name], **overrides})


def require_positive(**values: int | tuple[int, ...]) -> None:
    """Raises `InvalidValueError` unless each value, or each item of it, is 1 or more; an empty tuple is an error."""
    for field, value in values.items():
        items = value if isinstance(value, tuple) else (value,)
        if not items or any(item < 1 for item in items):
            expected = "one or more numbers of at least 1" if isinstance(value, tuple) else "at least 1"
            raise InvalidValueError(field, expected, value)


def require_rate(**values: float) -> None:
    """Raises `InvalidValueError` unless each value lies in [0, 1)."""
    for field, value in values.items():
        if not 0 <= value < 1:
            raise InvalidValueError(field, "at least 0 and below 1", value)
