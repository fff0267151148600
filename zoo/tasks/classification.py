"""One of N classes for an example.

Shape glossary: `B` batch, `N` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from zoo.errors import DataError, InvalidValueError
from zoo.tasks.base import AbstractScorer, AbstractTask, Confusion, Findings, NamedTensors, Table

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Classification"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(AbstractTask):
    """Classes by cross-entropy over `logits` float32 [B, N], against `label` int [B].

    In training a label may also be shares of the classes, float32 [B, N], as `Mixup` makes them.

    Answers `probabilities` float32 [B, N], `class_id` int64 [B] and, where classes have names, `label` string [B].

    Args:
        label: name of the tensor that holds the class id.
        output: name of the model's output.
        label_smoothing: share of each label that is spread over all classes in the loss (arXiv 1512.00567).
    """

    MONITOR: ClassVar = "val_accuracy"
    MONITOR_MODE: ClassVar = "max"
    SCORES: ClassVar = "probabilities"

    label: str = "label"
    output: str = "logits"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InvalidValueError("label_smoothing", "at least 0 and below 1", self.label_smoothing)

    def targets(self) -> tuple[str, ...]:
        """Returns the name of the label."""
        return (self.label,)

    def labelled(self) -> str:
        """Returns the name of the label."""
        return self.label

    def split(self, tensors: NamedTensors) -> tuple[NamedTensors, NamedTensors]:
        """Returns the inputs, and the class ids under the output's name."""
        inputs = {name: tensor for name, tensor in tensors.items() if name != self.label}
        return inputs, {self.output: tensors[self.label]}

    def losses(self) -> dict[str, keras.losses.Loss]:
        """Returns the cross-entropy."""
        from zoo.tasks.cross_entropy import CrossEntropy

        return {self.output: CrossEntropy(self.label_smoothing, self.label)}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Returns the accuracy; where a label is shares of classes, the largest share counts."""
        import keras

        from zoo.tasks.cross_entropy import matches

        return {self.output: [keras.metrics.MeanMetricWrapper(matches, name="accuracy")]}

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

    def difference(
        self, served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float
    ) -> str | None:
        """Returns `class_id` where another class is answered, unless the two are nearly as probable."""
        import numpy as np

        rows = expected["class_id"] != served["class_id"]
        ordered = np.sort(expected["probabilities"][rows], axis=-1)
        return None if (ordered[..., -1] - ordered[..., -2] <= tolerance).all() else "class_id"

    def scorer(self, label_names: Sequence[str]) -> AbstractScorer:
        """Returns what gathers accuracy, macro precision, recall and F1, and the mean cross-entropy."""
        return _Scorer(self.label, self.output, tuple(label_names))


class _Scorer(AbstractScorer):
    def __init__(self, label: str, output: str, names: tuple[str, ...]):
        self._label, self._output, self._names = label, output, names
        self._labels: list[np.ndarray] = []
        self._predicted: list[np.ndarray] = []
        self._num_classes, self._cross_entropy = 0, 0.0

    def update(self, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Takes in labels int [B] and logits [B, N]; raises `DataError` for a label that is no class."""
        import numpy as np

        labels, logits = targets[self._output].astype("int64"), outputs[self._output].astype("float64")
        strange = labels[(labels < 0) | (labels >= logits.shape[-1])]
        if len(strange):
            raise DataError(
                f"`{self._label}` holds the class id {strange[0]}, outside 0 to {logits.shape[-1] - 1}, the classes of "
                "the model. A split without labels cannot be evaluated; else give the model more classes."
            )
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        self._cross_entropy -= float(log_probabilities[np.arange(len(labels)), labels].sum())
        self._num_classes = logits.shape[-1]
        self._labels.append(labels)
        self._predicted.append(logits.argmax(axis=-1))

    def figures(self) -> dict[str, float]:
        """Returns the figures; macro ones are means over the classes that occur in the labels or in the answers.

        A class that is never answered has precision 0.
        """
        from sklearn.metrics import precision_recall_fscore_support

        labels, predicted = self._joined()
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels,
            predicted,
            average="macro",
            zero_division=0,  # pyright: ignore[reportArgumentType]
        )
        return {
            "accuracy": float((labels == predicted).mean()),
            "macro_precision": float(precision),
            "macro_recall": float(recall),
            "macro_f1": float(f1),
            "cross_entropy": self._cross_entropy / len(labels),
        }

    def findings(self) -> Findings:
        """Returns the counts of each pair of true and answered class, and the figures of each class."""
        import numpy as np

        labels, predicted = self._joined()
        counts = np.zeros((self._num_classes, self._num_classes), int)
        np.add.at(counts, (labels, predicted), 1)
        names = self._names or tuple(map(str, range(self._num_classes)))
        rows = []
        for index, name in enumerate(names):
            right, true, answered = counts[index, index], counts[index].sum(), counts[:, index].sum()
            shares = [f"{right / total:.3f}" if total else "" for total in (answered, true)]
            rows.append((name, int(true), *shares))
        return Findings(
            tables=[Table("Classes", ("class", "examples", "precision", "recall"), rows)],
            confusion=Confusion(counts, names),
        )

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        return np.concatenate(self._labels), np.concatenate(self._predicted)
