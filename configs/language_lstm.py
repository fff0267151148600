"""Which of nine languages is spoken, from the waveform through MFCC, by bidirectional LSTM layers.

zoo data fetch tuxpaint_languages && zoo train language_lstm --run-dir runs/language_lstm
    zoo evaluate runs/language_lstm

Test accuracy 99.21% (seeds 0, 1, 2: 99.05, 99.52, 99.05; 839 clips), 279 s; 2 cores, 2026-11-23.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import SequenceNormalization
from zoo.features.sound import MFCC
from zoo.models.rnn import RecurrentNet
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="language_lstm",
        data=Packaged(name="tuxpaint_languages"),
        splits=Splits(validation="validation"),
        features=(
            MFCC(num_coefficients=20, deltas=1, frame_ms=40.0, hop_ms=20.0),
            SequenceNormalization(),
            SpecAugment(max_span=20),
        ),
        model=RecurrentNet(num_features=40, num_classes=9, units=(96, 96), bidirectional=True, pooling="average"),
        task=Classification(),
        training=Training(
            epochs=8,
            batch_size=64,
            learning_rate=3e-3,
            schedule="cosine",
            warmup_epochs=1,
            clip_norm=1.0,
            length_window=8,
        ),
    )
