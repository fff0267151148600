"""What stands in for one method of a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

__all__ = ["Kernel"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A quicker way to compute what a method of a layer computes.

    Attributes:
        method: its name.
        function: takes the layer and what the method takes, and returns the same values.
        training_only: it is the gradient that is quicker.
    """

    method: str
    function: Callable[..., Any]
    training_only: bool = False
