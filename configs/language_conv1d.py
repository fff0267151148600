"""Which of nine languages is spoken, from the waveform through MFCC, by 1-D convolutions.

zoo data fetch tuxpaint_languages && zoo train language_conv1d --run-dir runs/language_conv1d
    zoo evaluate runs/language_conv1d

Test accuracy 99.72% (seeds 0, 1, 2: 99.88, 99.40, 99.88; 839 clips), 243 s; 2 cores, 2026-11-23.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import SequenceNormalization
from zoo.features.sound import MFCC
from zoo.models.conv1d import Conv1DNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="language_conv1d",
        data=Packaged(name="tuxpaint_languages"),
        splits=Splits(validation="validation"),
        features=(MFCC(num_coefficients=20, deltas=1), SequenceNormalization(), SpecAugment()),
        model=Conv1DNet(num_features=40, num_classes=9, filters=(64, 96, 128), kernel_size=5, dense_units=128),
        task=Classification(),
        training=Training(epochs=20, batch_size=64, learning_rate=2e-3, schedule="cosine", warmup_epochs=1),
    )
