"""LibriSpeech, 100 clean hours, from the waveform to English text by a Conformer and CTC; not measured.

zoo train tfds_librispeech_ctc --run-dir runs/librispeech && zoo evaluate runs/librispeech

Meant for a machine with a GPU.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.tfds_source import Tfds
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import UtteranceNormalization
from zoo.features.sound import LogMel
from zoo.models.speech_ctc import SpeechCTC
from zoo.tasks.transcription import Transcription


def config() -> Experiment:
    return Experiment(
        name="tfds_librispeech_ctc",
        data=Tfds(name="librispeech"),
        splits=Splits(train="train_clean100", validation="dev_clean", test="test_clean"),
        features=(LogMel(tensor="speech"), UtteranceNormalization(), SpecAugment()),
        model=SpeechCTC.preset("conformer_small", num_features=80, num_symbols=29),
        task=Transcription(),
        training=Training(
            epochs=60,
            batch_size=32,
            optimizer="adamw",
            weight_decay=1e-3,
            learning_rate=1e-3,
            schedule="cosine",
            warmup_epochs=5,
            clip_norm=5.0,
        ),
    )
