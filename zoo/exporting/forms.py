"""The forms of export, by name: what writes a `Servable` into a version directory, and what makes it answer there.

To add one: a module with a function `(servable, directory) -> None`, and a line here.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import InvalidValueError
from zoo.exporting.litert.options import LiteRT

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FORMS", "Form", "Part", "parts_of"]

_SAVED_MODEL = "zoo.exporting.verify:load_saved_model"
_LITERT_HINT = (
    "Choose a finer precision: int8, dynamic, float16 and float32 come nearer in this order. Where so much is good "
    "enough, allow it: `--tolerance`. Training with `QuantizeAware` prepares a model for 8 bits."
)


@dataclasses.dataclass(frozen=True)
class Form:
    """One line of the table.

    Attributes:
        write: "module:function" that writes it.
        load: "module:function" from a directory to a function from arrays to answers.
        num_examples: real examples that it is compared on.
        takes_options: `write` also takes the options of LiteRT, the examples and calibration data.
    """

    write: str
    load: str = _SAVED_MODEL
    num_examples: int = 8
    takes_options: bool = False


FORMS = {
    "plain": Form("zoo.exporting.plain:write_plain"),
    "packed": Form("zoo.exporting.packing.saved_model:write_packed"),
    "litert": Form(
        "zoo.exporting.litert.form:write_litert",
        "zoo.exporting.litert.interpreter:load_litert",
        num_examples=64,
        takes_options=True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Part:
    """A form with what was chosen about it, ready to be written.

    Attributes:
        form: its name.
        write: `(servable, directory, examples) ->` what the manifest says of it, beside what is measured.
        check: of `zoo.exporting.verify.verify`, what differs from a SavedModel's: `load`, `tolerance`, `hint`.
    """

    form: str
    write: Callable[[Any, Path, Mapping[str, np.ndarray]], Mapping[str, Any]]
    check: Mapping[str, Any]


def parts_of(form: str, litert: LiteRT | None, calibration: Mapping[str, np.ndarray] | None) -> list[Part]:
    """Returns what a version directory of a form consists of, the form itself first.

    Raises:
        InvalidValueError: there is no such form, or it has no use for `litert` or `calibration`.
        ExportError: int8 without calibration data.
    """
    if form not in FORMS:
        raise InvalidValueError("form", f"one of {', '.join(FORMS)}", form)
    line = FORMS[form]
    if not line.takes_options:
        for name, value in (("litert", litert), ("calibration", calibration)):
            if value is not None:
                raise InvalidValueError(name, f"left out for the form {form!r}", value)
        return [_saved_model(form)]
    from zoo.exporting.litert.form import check_calibration

    options = litert or LiteRT()
    check_calibration(options, calibration)

    def write(servable: Any, directory: Path, examples: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        return _named(line.write)(servable, directory, options, examples, calibration)

    check = {"load": _named(line.load), "tolerance": options.allowed, "hint": _LITERT_HINT}
    beside = [] if options.beside is None else [_saved_model(options.beside)]
    return [Part(form, write, check), *beside]


def _saved_model(form: str) -> Part:
    def write(servable: Any, directory: Path, examples: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        _named(FORMS[form].write)(servable, directory)
        return {}

    return Part(form, write, {"load": _named(FORMS[form].load)})


def _named(place: str) -> Any:
    """Returns what "module:name" stands for, imported now."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
