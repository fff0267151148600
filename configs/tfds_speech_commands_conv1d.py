"""Speech commands, twelve classes, from the waveform through MFCC to 1-D convolutions; not measured.

zoo train tfds_speech_commands_conv1d --run-dir runs/commands && zoo evaluate runs/commands
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.tfds_source import Tfds
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import SequenceNormalization
from zoo.features.sound import MFCC
from zoo.models.conv1d import Conv1DNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="tfds_speech_commands_conv1d",
        data=Tfds(name="speech_commands"),
        splits=Splits(validation="validation"),
        features=(MFCC(tensor="audio", num_coefficients=20, deltas=1), SequenceNormalization(), SpecAugment()),
        model=Conv1DNet(num_features=40, num_classes=12, filters=(64, 96, 128), kernel_size=5),
        task=Classification(),
        training=Training(epochs=20, batch_size=128, schedule="cosine", warmup_epochs=1),
    )
