"""MNIST by two convolutions and a dense layer.

zoo data fetch mnist && zoo train mnist_cnn --run-dir runs/mnist_cnn && zoo evaluate runs/mnist_cnn

Validation accuracy 99.52% (seed 10, nine epochs); not yet measured as it stands. With kernels of 3, more dropout and no
running mean of the weights: test accuracy 99.43% (99.41 to 99.46, seeds 0, 1, 2), 208 to 235 s a training; 2 cores,
2026-11-22.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.images import ImageScaling, RandomShift
from zoo.models.conv2d import Conv2DNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="mnist_cnn",
        data=Packaged(name="mnist"),
        splits=Splits(train="train[:55000]", validation="train[55000:]"),
        features=(RandomShift(pixels=2), ImageScaling()),
        model=Conv2DNet.preset("dense128", num_classes=10, kernel_size=5, dropout=0.3),
        task=Classification(),
        training=Training(epochs=10, batch_size=128, learning_rate=2e-3, schedule="cosine", ema_momentum=0.998),
    )
