"""MNIST as tfds prepares it, by two convolutions; not measured: see `mnist_cnn`, the same images from a package.

zoo train tfds_mnist_conv2d --run-dir runs/tfds_mnist && zoo evaluate runs/tfds_mnist
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.tfds_source import Tfds
from zoo.features.augmentation import RandomShift
from zoo.features.images import ImageScaling
from zoo.models.conv2d import Conv2DNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="tfds_mnist_conv2d",
        data=Tfds(name="mnist"),
        splits=Splits(train="train[:55000]", validation="train[55000:]"),
        features=(RandomShift(pixels=2), ImageScaling()),
        model=Conv2DNet.preset("dense128", num_classes=10),
        task=Classification(),
        training=Training(epochs=10, learning_rate=2e-3, schedule="cosine"),
    )
