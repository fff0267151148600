"""What runs a version directory, by the file that it holds: TensorFlow's SavedModel loader or LiteRT's interpreter.

To add one: a class derived from `AbstractEngine`, and a line in `ENGINES`.
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo.errors import ExportError

if TYPE_CHECKING:
    from zoo.exporting.signature import InputSpec

__all__ = ["ENGINES", "AbstractEngine", "LiteRT", "SavedModel", "engine_of"]

_SIGNATURES = ("serving_default", "serve")  # `keras.Model.export` writes both, older SavedModels one


class AbstractEngine(abc.ABC):
    """A loaded model that is called with arrays and answers arrays; making one loads it.

    Attributes:
        FILE: what a version directory holds that this engine runs.
    """

    FILE: ClassVar[str]

    @abc.abstractmethod
    def __init__(self, path: Path): ...

    @staticmethod
    @abc.abstractmethod
    def start() -> None:
        """Imports and starts what is there before any model: no part of a model's own load time and memory."""

    @abc.abstractmethod
    def specs(self) -> list[InputSpec]:
        """Returns the inputs of the signature; the first axis is the batch, `None` where it is free."""

    @abc.abstractmethod
    def call(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answers inputs of a batch size that the signature takes."""


class SavedModel(AbstractEngine):
    """TensorFlow's Python loader; a call goes through the signature, as Python's users call it."""

    FILE: ClassVar = "saved_model.pb"

    def __init__(self, path: Path):
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(path))
        signatures: Any = self._loaded.signatures
        name = next((name for name in _SIGNATURES if name in signatures), None)
        if name is None:
            raise ExportError(
                f"{path} has no signature named {' or '.join(_SIGNATURES)}. It has: {', '.join(signatures) or 'none'}."
            )
        self._signature = signatures[name]

    @staticmethod
    def start() -> None:
        import tensorflow as tf

        tf.constant(0.0)  # the first operation starts the runtime

    def specs(self) -> list[InputSpec]:
        from zoo.exporting.signature import InputSpec

        _, named = self._signature.structured_input_signature
        return [InputSpec(name, tuple(spec.shape), spec.dtype.name) for name, spec in named.items()]

    def call(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import tensorflow as tf

        outputs = self._signature(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}


class LiteRT(AbstractEngine):
    """LiteRT's interpreter on one thread, as it comes with TensorFlow."""

    FILE: ClassVar = "model.tflite"

    def __init__(self, path: Path):
        import tensorflow as tf

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the interpreter will move to another package
            self._interpreter = tf.lite.Interpreter(str(path / self.FILE), num_threads=1)
        signatures = self._interpreter.get_signature_list()
        if _SIGNATURES[0] not in signatures:
            raise ExportError(
                f"{path / self.FILE} has no signature {_SIGNATURES[0]}. It has: {', '.join(signatures) or 'none'}."
            )
        self._interpreter.allocate_tensors()
        self._runner = self._interpreter.get_signature_runner(_SIGNATURES[0])

    @staticmethod
    def start() -> None:
        import tensorflow as tf

        _ = tf.lite.Interpreter

    def specs(self) -> list[InputSpec]:
        from zoo.exporting.signature import InputSpec

        details = self._runner.get_input_details()
        return [
            InputSpec(name, tuple(None if size < 0 else int(size) for size in about["shape_signature"]), _dtype(about))
            for name, about in details.items()
        ]

    def call(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._runner(**inputs)


def _dtype(about: Mapping[str, Any]) -> str:
    return np.dtype(about["dtype"]).name


ENGINES: tuple[type[AbstractEngine], ...] = (SavedModel, LiteRT)  # where a directory holds both, the first, as a server


def engine_of(path: Path) -> type[AbstractEngine]:
    """Returns what runs the model of a version directory.

    Raises:
        ExportError: there is none.
    """
    found = next((engine for engine in ENGINES if (path / engine.FILE).is_file()), None)
    if found is None:
        state = "holds none of them" if path.is_dir() else "is no directory"
        raise ExportError(
            f"A version directory holds {' or '.join(engine.FILE for engine in ENGINES)}. {path} {state}. "
            "`zoo export` writes one: <root>/<name>/<version>."
        )
    return found
