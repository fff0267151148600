"""Which of nine languages is spoken, from the waveform through MFCC, by a Transformer encoder.

zoo data fetch tuxpaint_languages && zoo train language_transformer --run-dir runs/language_transformer
    zoo evaluate runs/language_transformer

Test accuracy 98.93% (seed 0; 839 clips), under 861 s beside other work; 2 cores, 2026-11-23.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import SequenceNormalization
from zoo.features.sound import MFCC
from zoo.models.transformer import TransformerEncoder
from zoo.tasks.classification import Classification


def config() -> Experiment:
    return Experiment(
        name="language_transformer",
        data=Packaged(name="tuxpaint_languages"),
        splits=Splits(validation="validation"),
        features=(
            MFCC(num_coefficients=20, deltas=1, frame_ms=40.0, hop_ms=20.0),
            SequenceNormalization(),
            SpecAugment(max_span=20),
        ),
        model=TransformerEncoder(num_features=40, num_classes=9, width=96, depth=3, num_heads=4, mlp_width=192),
        task=Classification(),
        training=Training(
            epochs=8,
            batch_size=64,
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=1e-2,
            schedule="cosine",
            warmup_epochs=1,
            clip_norm=1.0,
            length_window=8,
        ),
    )
