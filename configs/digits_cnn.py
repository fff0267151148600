"""Digits of 8x8 pixels by two convolutions: the quickstart's model.

zoo train digits_cnn --run-dir runs/digits_cnn && zoo evaluate runs/digits_cnn

Test accuracy 97.2% (seed 0; 360 examples), about 20 s; 2 cores, 2026-11-22.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.images import ImageScaling
from zoo.models.conv2d import Conv2DNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="digits_cnn",
        data=Packaged(name="digits"),
        splits=Splits(train="train[:85%]", validation="train[85%:]"),
        features=(ImageScaling(max_value=16.0),),
        model=Conv2DNet(
            input_shape=(8, 8, 1),
            num_classes=10,
            filters=(32, 64),
            padding="same",
            dense_units=64,
            dropout=0.3,
        ),
        task=Classification(),
        training=Training(epochs=15, batch_size=32, learning_rate=2e-3, schedule="cosine"),
    )
