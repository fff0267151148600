"""CIFAR-10 by ResNet-20; not measured.

zoo train tfds_cifar10_resnet --run-dir runs/cifar10 && zoo evaluate runs/cifar10

The paper (arXiv 1512.03385, table 6) states 91.25% after 64,000 steps of 128 images.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.tfds_source import Tfds
from zoo.features.augmentation import RandomFlip, RandomShift
from zoo.features.images import ImageScaling
from zoo.models.resnet import ResNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="tfds_cifar10_resnet",
        data=Tfds(name="cifar10"),
        splits=Splits(train="train[:45000]", validation="train[45000:]"),
        features=(RandomShift(pixels=4), RandomFlip(), ImageScaling()),
        model=ResNet.preset("cifar20", input_shape=(32, 32, 3), num_classes=10),
        task=Classification(),
        training=Training(
            epochs=180,
            optimizer="sgd",
            learning_rate=0.1,
            weight_decay=5e-4,
            schedule="cosine",
            warmup_epochs=1,
        ),
    )
