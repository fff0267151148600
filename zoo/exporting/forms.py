"""The forms of export, by name: what writes a `Servable` into a version directory.

To add one: a module with a function `(servable, directory) -> None`, and a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.errors import InvalidValueError

__all__ = ["FORMS", "writer"]

FORMS = {
    "plain": "zoo.exporting.plain:write_plain",
    "packed": "zoo.exporting.packing.saved_model:write_packed",
}


def writer(form: str) -> Callable[[Any, Path], None]:
    """Returns the function that writes `form`, imported now.

    Raises:
        InvalidValueError: there is no such form.
    """
    if form not in FORMS:
        raise InvalidValueError("form", f"one of {', '.join(FORMS)}", form)
    module, _, name = FORMS[form].partition(":")
    return getattr(importlib.import_module(module), name)
