"""Distillation: a model learns from another's outputs beside the labels. Paper: arXiv 1503.02531.

The loss is Keras's `LogitsDistillation`. Its `Distiller` is not taken: it leaves out the weights of examples and what
layers add to the loss, and knows no schedule of a weight transform.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import CompressionError, InvalidValueError

if TYPE_CHECKING:
    import keras

__all__ = ["Distill", "Teaching"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distill:
    """How a model learns from its teacher.

    Args:
        teacher: a run directory; by default the model as it was before compression.
        temperature: what logits are divided by, above 0.
        weight: share of the teacher in the loss, above 0 and at most 1; the labels have the rest.
        loss: `kl_divergence` of the softmax of the outputs, for logits, or `mean_squared_error`, for other outputs.

    Raises:
        InvalidValueError: a value out of range.
    """

    teacher: str | None = None
    temperature: float = 4.0
    weight: float = 0.5
    loss: Literal["kl_divergence", "mean_squared_error"] = "kl_divergence"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InvalidValueError("temperature", "above 0", self.temperature)
        if not 0 < self.weight <= 1:
            raise InvalidValueError("weight", "above 0 and at most 1", self.weight)
        if self.loss not in ("kl_divergence", "mean_squared_error"):
            raise InvalidValueError("loss", "kl_divergence or mean_squared_error", self.loss)


class Teaching:
    """A teacher at work.

    Args:
        distill: how.
        teacher: functional; it is never trained.
        student: functional.

    Raises:
        CompressionError: the two differ in inputs or outputs, or an output has nothing to teach by this loss.
    """

    def __init__(self, distill: Distill, teacher: keras.Model, student: keras.Model):
        import keras

        _check_alike("inputs", teacher.input, student.input)
        _check_alike("outputs", teacher.output, student.output)
        if distill.loss == "kl_divergence":
            _check_several(teacher)
        self._distill = distill
        self._teacher = teacher
        # KL divergence divides by the temperature and multiplies by its square; a squared error has none.
        temperature = distill.temperature if distill.loss == "kl_divergence" else 1.0
        # Not by name: Keras 3.15 takes the softmax for instances of the class, but raw logits for its name.
        kinds = {"kl_divergence": keras.losses.KLDivergence, "mean_squared_error": keras.losses.MeanSquaredError}
        losses: Any = keras.tree.map_structure(lambda _: kinds[distill.loss](), teacher.output)
        self._loss = keras.distillation.LogitsDistillation(temperature, losses)

    def loss(self, inputs: Any, outputs: Any, loss: Any, added: Any = 0.0) -> Any:
        """Returns the loss, float32 []: the teacher's share, what is left of the labels', and all of `added`.

        Args:
            inputs: of the student.
            outputs: of the student.
            loss: of the labels together with `added`.
            added: what layers and transforms add to a loss, which no teacher stands in for.
        """
        taught: Any = self._loss.compute_loss(self._teacher(inputs, training=False), outputs)
        return (1 - self._distill.weight) * (loss - added) + self._distill.weight * taught + added


def _check_alike(what: str, teacher: Any, student: Any) -> None:
    if _described(teacher) != _described(student):
        raise CompressionError(
            f"Teacher and student must have the same {what}. Received: the teacher's {_described(teacher)}, "
            f"the student's {_described(student)}."
        )


def _check_several(teacher: Any) -> None:
    """Refuses outputs of one number, whose softmax is 1 whatever it is: they would teach nothing."""
    import keras

    outputs = keras.tree.flatten(teacher.output)
    alone = [tuple(one.shape) for one in outputs if len(one.shape) < 2 or one.shape[-1] == 1]
    if alone:
        raise CompressionError(
            "`kl_divergence` compares the softmax over the last axis of outputs, which must have two numbers or more. "
            f"Received outputs of shapes {alone}, by which nothing is learnt. "
            "Take `Distill(loss='mean_squared_error')`."
        )


def _described(tensors: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda tensor: (tuple(tensor.shape), tensor.dtype), tensors)
