"""What `zoo bench artifact` compresses, by what, and what is wanted of it."""

from __future__ import annotations

from zoo.exporting.artifact_rows import Target

__all__ = ["TARGETS"]

# By name of a configuration. `{runs}` is the working directory, where `NAME-SEED` is a model's run.
TARGETS = {
    "mnist_lenet5": Target(recipe="deep", times=80, points=0.1),
    "mnist_lenet300": Target(recipe="deep", times=50, points=0.1),
    "mnist_cnn": Target(recipe="deep", times=15, points=0.3),
    "fashion_resnet20": Target(recipe="deep", times=15, points=0.3),
    "vowels_lstm": Target(recipe="deep", times=8, points=0.5),
    "vowels_transformer": Target(recipe="deep", times=8, points=0.5),
}
