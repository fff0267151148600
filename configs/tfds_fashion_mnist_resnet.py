"""Fashion-MNIST as tfds prepares it, by ResNet-20; not measured: see `fashion_resnet20` for the same images.

zoo train tfds_fashion_mnist_resnet --run-dir runs/tfds_fashion && zoo evaluate runs/tfds_fashion
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.tfds_source import Tfds
from zoo.features.augmentation import RandomFlip, RandomShift
from zoo.features.images import ImageScaling
from zoo.models.resnet import ResNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="tfds_fashion_mnist_resnet",
        data=Tfds(name="fashion_mnist"),
        splits=Splits(train="train[:55000]", validation="train[55000:]"),
        features=(RandomShift(pixels=2), RandomFlip(), ImageScaling()),
        model=ResNet.preset("cifar20", input_shape=(28, 28, 1), num_classes=10),
        task=Classification(),
        training=Training(epochs=30, optimizer="sgd", learning_rate=0.1, weight_decay=5e-4, schedule="cosine"),
    )
