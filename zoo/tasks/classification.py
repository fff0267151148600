"""One of N classes for an example.

Shape glossary: `B` batch, `N` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from zoo.errors import DataError
from zoo.tasks.base import AbstractTask, NamedTensors

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Classification"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(AbstractTask):
    """Classes by cross-entropy over `logits` float32 [B, N], against `label` int [B].

    Answers `probabilities` float32 [B, N], `class_id` int64 [B] and, where classes have names, `label` string [B].

    Args:
        label: name of the tensor that holds the class id.
        output: name of the model's output.
    """

    MONITOR: ClassVar = "val_accuracy"

    label: str = "label"
    output: str = "logits"

    def targets(self) -> tuple[str, ...]:
        """Returns the name of the label."""
        return (self.label,)

    def split(self, tensors: NamedTensors) -> tuple[NamedTensors, NamedTensors]:
        """Returns the inputs, and the class ids under the output's name."""
        inputs = {name: tensor for name, tensor in tensors.items() if name != self.label}
        return inputs, {self.output: tensors[self.label]}

    def losses(self) -> dict[str, keras.losses.Loss]:
        """Returns the cross-entropy."""
        import keras

        return {self.output: keras.losses.SparseCategoricalCrossentropy(from_logits=True)}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Returns the accuracy."""
        import keras

        return {self.output: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def check(self, model: keras.Model, label_names: Sequence[str]) -> None:
        """Raises `DataError` unless the model has one logit per class of the data."""
        outputs = model.output if isinstance(model.output, dict) else {}
        if self.output not in outputs:
            raise DataError(
                f"The model has no output `{self.output}`. Received outputs: {', '.join(outputs) or '(unnamed)'}. "
                "Name the one to classify by with `--set task.output=NAME`."
            )
        classes = outputs[self.output].shape[-1]
        if label_names and classes != len(label_names):
            raise DataError(
                f"The data has {len(label_names)} classes and the model answers {classes}. "
                f"Give the model num_classes={len(label_names)}."
            )

    def answers(self, outputs: NamedTensors, label_names: Sequence[str]) -> NamedTensors:
        """Returns `probabilities`, `class_id` and, with names, `label`."""
        import tensorflow as tf

        logits = outputs[self.output]
        class_id = tf.argmax(logits, axis=-1, output_type=tf.int64)
        answers = {"probabilities": tf.nn.softmax(tf.cast(logits, tf.float32)), "class_id": class_id}
        if label_names:
            answers["label"] = tf.gather(tf.constant(list(label_names)), class_id)
        return answers

    def score(self, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns accuracy, macro precision, recall and F1, and the mean cross-entropy.

        Macro figures are means over the classes that occur in the labels or in the answers; a class that is never
        answered has precision 0.
        """
        import numpy as np
        from sklearn.metrics import precision_recall_fscore_support

        labels, logits = targets[self.output], outputs[self.output].astype("float64")
        predicted = logits.argmax(axis=-1)
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels,
            predicted,
            average="macro",
            zero_division=0,  # pyright: ignore[reportArgumentType]
        )
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return {
            "accuracy": float((labels == predicted).mean()),
            "macro_precision": float(precision),
            "macro_recall": float(recall),
            "macro_f1": float(f1),
            "cross_entropy": float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        }
