"""Openclipart, eight categories at 32x32 pixels, by ResNet-20, moved, turned and mixed at random.

zoo data fetch openclipart && zoo train clipart_resnet20 --run-dir runs/clipart_resnet20
    zoo evaluate runs/clipart_resnet20

Not measured yet. A random forest on the pixels reaches 0.588 on the test split (see the data set's recipe).
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.augmentation import Mixup, RandomAffine, RandomFlip
from zoo.features.images import ImageScaling
from zoo.models.resnet import ResNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="clipart_resnet20",
        data=Packaged(name="openclipart"),
        splits=Splits(validation="validation"),
        features=(
            RandomFlip(),
            RandomAffine(degrees=10.0, zoom=0.15, pixels=3.0, fill="nearest"),
            ImageScaling(),
            Mixup(num_classes=8, alpha=0.2),
        ),
        model=ResNet.preset("cifar20", input_shape=(32, 32, 3), num_classes=8),
        task=Classification(),
        training=Training(
            epochs=60,
            batch_size=64,
            optimizer="sgd",
            learning_rate=0.05,
            weight_decay=1e-3,
            schedule="cosine",
            warmup_epochs=2,
        ),
    )
