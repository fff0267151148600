"""A model that trains through weight transforms, its layers unchanged.

`keras.StatelessScope` makes each layer read a given tensor in place of a variable during one forward pass. What a
layer writes in that pass (moving statistics, seeds) is committed after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.base import AbstractAttachment
from zoo.compression.distill import Teaching
from zoo.errors import CompressionError
from zoo.layers.replicas import BuiltOnReplicas

__all__ = ["Reparametrized", "transformed", "write_back"]


class Reparametrized(BuiltOnReplicas, keras.Model):
    """Trains `inner` as seen through transforms.

    Args:
        inner: any functional model; its own variables are what is trained.
        attachments: applied to each weight in this order.
        moving: those of `attachments` whose schedule runs and whose variables train; the others stay as they are.
        teaching: a teacher whose outputs count in the loss.
    """

    def __init__(
        self,
        inner: keras.Model,
        attachments: Sequence[AbstractAttachment],
        moving: Sequence[AbstractAttachment],
        teaching: Teaching | None = None,
    ):
        super().__init__(name=f"{inner.name}_reparametrized")
        self.inner = inner
        self._attachments = tuple(attachments)
        self._moving = tuple(moving)
        self._teaching = teaching
        self.extra_variables = [variable for attachment in moving for variable in attachment.variables()]
        self.built = True

    def call(self, inputs, training=False):
        """Returns what `inner` answers with its weights transformed."""
        weights = list(_transformed(self._attachments))
        mapping = [(variable, value) for _, variable, value in weights]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = self.inner(inputs, training=training)
        for loss in scope.losses or ():
            self.add_loss(loss)
        if training:
            values = {path: value for path, _, value in weights}
            for penalty in filter(lambda one: one is not None, (one.penalty(values) for one in self._attachments)):
                self.add_loss(penalty)
        for variable in self.inner.non_trainable_variables:
            written = scope.get_current_value(variable)
            if written is not None:
                variable.assign(written)
        return outputs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss of the labels, in training with the teacher's share."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not (self._teaching and training):
            return loss
        added: list[Any] = [self._aggregate_additional_loss(one) for one in self.losses]
        return self._teaching.loss(x, y_pred, loss, sum(added))

    def train_step(self, data):
        """Moves the schedules on, then takes Keras's own step."""
        for attachment in self._moving:
            attachment.advance(tf.cast(self.optimizer.iterations.value, tf.int64))
        return super().train_step(data)


def _transformed(attachments: Sequence[AbstractAttachment]):
    """Yields `(name, variable, transformed tensor)` for each variable that a transform works on."""
    variables = {path: weight for attachment in attachments for path, weight in attachment.weights.items()}
    for path, variable in variables.items():
        value = tf.convert_to_tensor(variable.value)
        for attachment in attachments:
            if path in attachment.weights:
                value = attachment.apply(path, value)
        yield path, variable, value


def transformed(attachments: Sequence[AbstractAttachment]) -> dict[str, np.ndarray]:
    """Returns the transformed values by path, as they stand now."""
    return {path: np.asarray(value) for path, _, value in _transformed(attachments)}


def write_back(attachments: Sequence[AbstractAttachment]) -> None:
    """Writes the transformed values into the variables and proves each transform's promise.

    Raises:
        CompressionError: a weight is not as promised, or not a finite number; it names each with what was found.
    """
    for _, variable, value in list(_transformed(attachments)):
        variable.assign(tf.where(tf.equal(value, 0), tf.zeros_like(value), value))  # -0.0 would be one more value
    faults = []
    for attachment in attachments:
        for path, variable in attachment.weights.items():
            value = np.asarray(variable)
            fault = attachment.verify(path, value) if np.isfinite(value).all() else "holds a NaN or an infinity"
            if fault:
                faults.append(f"{path}: {fault}")
    if faults:
        raise CompressionError("Compression did not do what it promised. " + "; ".join(faults) + ".")
