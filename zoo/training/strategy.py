"""Which devices train together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import TrainingError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from zoo.config import Training

__all__ = ["open_strategy", "steps_per_execution", "strategy_of"]


def open_strategy(training: Training) -> tf.distribute.Strategy:
    """Returns the strategy of `training`: every visible GPU, or `logical_cpus` parts of the CPU, or none.

    Raises:
        TrainingError: the CPU cannot be cut any more since TensorFlow has started, or the replicas do not divide the
            batch.
    """
    import tensorflow as tf

    if training.strategy == "none":
        return tf.distribute.get_strategy()
    if training.logical_cpus > 1:
        _cut_cpu(training.logical_cpus)
    devices = tf.config.list_logical_devices("GPU")
    if training.logical_cpus > 1 or not devices:
        devices = tf.config.list_logical_devices("CPU")[: training.logical_cpus]
    if training.batch_size % len(devices):  # unequal shares would weigh unequally
        raise TrainingError(
            f"{len(devices)} replicas cannot share a batch of {training.batch_size} evenly. "
            f"Give a training.batch_size that {len(devices)} divides."
        )
    # On CPUs the default reduction is a collective whose keys begin anew with each strategy: a second strategy in one
    # process fails with "Shape mismatch in the collective instance".
    on_cpu = all(device.device_type == "CPU" for device in devices)
    reduction = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy([device.name for device in devices], cross_device_ops=reduction)


def _cut_cpu(parts: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    current = tf.config.get_logical_device_configuration(cpu)
    if current is not None and len(current) >= parts:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    except RuntimeError:
        raise TrainingError(
            f"training.logical_cpus={parts} must be set before TensorFlow runs its first operation. "
            "Start a new process."
        ) from None


def strategy_of(model: keras.Model) -> tf.distribute.Strategy:
    """Returns the strategy in whose scope the model's variables were made."""
    import tensorflow as tf

    for variable in model.variables:
        return getattr(variable.value, "distribute_strategy", tf.distribute.get_strategy())
    return tf.distribute.get_strategy()


def steps_per_execution(wanted: int, steps_per_epoch: int, strategy: tf.distribute.Strategy) -> int:
    """Returns how many steps may run between two returns to Python: at most `wanted`, and a whole number of times.

    One where there are several replicas: with more, Keras 3.15 builds a graph that TensorFlow 2.21 refuses ("You must
    feed a value for placeholder tensor"), whatever the model.
    """
    if strategy.num_replicas_in_sync > 1:
        return 1
    return next(steps for steps in range(min(wanted, steps_per_epoch), 0, -1) if steps_per_epoch % steps == 0)
