"""Romanian names of Tux Paint's stamps, spoken by one voice, to text: a Conformer and CTC.

zoo data fetch tuxpaint_ro && zoo train speech_ctc_ro --run-dir runs/speech_ctc_ro && zoo evaluate runs/speech_ctc_ro

Of the test split's characters 25.4% are wrong and of its words 63.3% (seed 0; 109 clips); the best constant answer gets
82.9% and 92.8%. Under 2,270 s beside other work; 2 cores, 2026-11-23.
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import UtteranceNormalization
from zoo.features.sound import LogMel
from zoo.models.speech_ctc import SpeechCTC
from zoo.tasks.transcription import Transcription

ALPHABET = " abcdefghijklmnopqrstuvwxyzâäîășț0123456789"


def config() -> Experiment:
    return Experiment(
        name="speech_ctc_ro",
        data=Packaged(name="tuxpaint_ro"),
        splits=Splits(validation="validation"),
        features=(LogMel(num_mels=40), UtteranceNormalization(), SpecAugment()),
        model=SpeechCTC(
            num_features=40,
            num_symbols=len(ALPHABET) + 1,
            encoder="conformer",
            width=144,
            depth=4,
            mlp_width=288,
            dropout=0.2,
        ),
        task=Transcription(alphabet=ALPHABET, ignored=".,;:!?…\"“”„()-$€='"),
        training=Training(
            epochs=100,
            batch_size=16,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=1e-2,
            schedule="cosine",
            warmup_epochs=4,
            clip_norm=5.0,
            length_window=8,
        ),
    )
