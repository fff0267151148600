"""The graph of layers behind a user's own model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import ZooError

if TYPE_CHECKING:
    import keras

__all__ = ["functional"]


def functional(model: keras.Model, work: str, error: type[ZooError]) -> keras.Model:
    """Returns a model with its inputs and outputs in reach: itself, or a sequential one as a chain of the same layers.

    Args:
        model: anything that a user may pass.
        work: what needs it, to begin the message with.
        error: what to raise.

    Raises:
        ZooError: of the type `error`: neither functional nor sequential, or not built.
    """
    import keras

    if isinstance(model, keras.Model) and getattr(model, "inputs", None):
        if not isinstance(model, keras.Sequential):
            return model
        # A sequential model knows no `input` until it is called.
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    raise error(
        f"{work} needs a built functional or sequential `keras.Model`. Received: {type(model).__name__}. "
        "Give a subclassed model a functional shell: `keras.Model(inputs, model(inputs))`."
    )
