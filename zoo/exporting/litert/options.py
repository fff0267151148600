"""What can be chosen about a LiteRT model, and how far each precision may take answers from the model's own."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from zoo.errors import InvalidValueError

__all__ = ["TOLERANCES", "Beside", "LiteRT", "Precision"]

Precision = Literal["float32", "float16", "dynamic", "int8"]
Beside = Literal["plain", "packed"]

_NUM_CALIBRATION = 200

# Largest differences of a probability that were measured, on 64 test examples of trained runs (digits_cnn, mnist_cnn,
# vowels_lstm, vowels_transformer): float32 3e-7, float16 2.5e-3, dynamic 8e-3, int8 0.096, and 0.028 without the
# transformer's. Over the untrained families: `tests/conformance/test_litert.py`.
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "float16": 1e-2, "dynamic": 5e-2, "int8": 1e-1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiteRT:
    """How `model.tflite` is made.

    Args:
        precision: `float32`; `float16`, weights of 16 bits, computed in float32; `dynamic`, weights of 8 bits from
            1,024 values on, activations quantised as they come; `int8`, weights and activations of 8 bits, their ranges
            taken from real examples. Inputs and answers keep their types.
        beside: also write a SavedModel of this form; a server without `--prefer_tflite_model` takes that one.
        tolerance: what an answer may differ by from the model's own, in shares of the answer where that is above 1; by
            default that of the precision: 1e-4, 1e-2, 5e-2 and 1e-1.
        num_calibration: examples of the training split, or rows of the arrays given, that `int8` takes ranges from; 200
            by default. Not for other precisions.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> LiteRT(precision="float16").allowed
        0.01
    """

    precision: Precision = "float32"
    beside: Beside | None = None
    tolerance: float | None = None
    num_calibration: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in TOLERANCES:
            raise InvalidValueError("precision", f"one of {', '.join(TOLERANCES)}", self.precision)
        if self.beside not in (None, *get_args(Beside)):
            raise InvalidValueError("beside", f"one of {', '.join(get_args(Beside))}, or left out", self.beside)
        if self.tolerance is not None and not self.tolerance > 0:
            raise InvalidValueError("tolerance", "above 0", self.tolerance)
        if self.num_calibration is not None and self.num_calibration < 1:
            raise InvalidValueError("num_calibration", "at least 1", self.num_calibration)
        if self.num_calibration is not None and self.precision != "int8":
            raise InvalidValueError("num_calibration", "left out unless precision is int8", self.num_calibration)

    @property
    def calibration_rows(self) -> int:
        """How many examples int8 takes its ranges from."""
        return _NUM_CALIBRATION if self.num_calibration is None else self.num_calibration

    @property
    def allowed(self) -> float:
        """The tolerance that holds."""
        return TOLERANCES[self.precision] if self.tolerance is None else self.tolerance
