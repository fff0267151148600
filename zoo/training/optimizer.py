"""The optimiser of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.config import Training

if TYPE_CHECKING:
    import keras

__all__ = ["make_optimizer"]


def make_optimizer(training: Training, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Returns the optimiser with its schedule; called in a strategy scope."""
    import keras
    import tensorflow as tf

    common: dict[str, Any] = {}
    if training.clip_norm:
        # Keras clips each replica's share before it adds them up.
        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        common["global_clipnorm"] = training.clip_norm / num_replicas
    if training.ema_momentum:
        common |= {"use_ema": True, "ema_momentum": training.ema_momentum}
    if training.weight_decay or training.optimizer == "adamw":  # which takes no None
        common["weight_decay"] = training.weight_decay
    if training.optimizer == "sgd":
        common |= {"momentum": 0.9, "nesterov": True}
    kind = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}
    optimizer = kind[training.optimizer](_learning_rate(training, steps_per_epoch), **common)
    if training.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _learning_rate(training: Training, steps_per_epoch: int) -> Any:
    import keras

    warmup = round(training.warmup_epochs * steps_per_epoch)
    if training.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else training.learning_rate,
            decay_steps=max(1, training.epochs * steps_per_epoch - warmup),
            warmup_target=training.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if warmup:
        return keras.optimizers.schedules.PolynomialDecay(0.0, warmup, training.learning_rate)
    return training.learning_rate
