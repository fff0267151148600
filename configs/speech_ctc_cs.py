"""Czech dialogues of Fish Fillets, acted by several voices, held-out levels, to text: a Conformer and CTC.

zoo data fetch fillets_cs && zoo train speech_ctc_cs --run-dir runs/speech_ctc_cs && zoo evaluate runs/speech_ctc_cs

Test split: characters wrong 60.3% (best constant answer: 91.0%), words 103.8% (96.2%): letters are heard, words not
yet; the figures were still falling after 20 epochs (seed 0; under 791 s beside other work; 2 cores, 2026-11-23).
"""

from zoo.config import Experiment, Splits, Training
from zoo.data.packaged import Packaged
from zoo.features.augmentation import SpecAugment
from zoo.features.sequences import UtteranceNormalization
from zoo.features.sound import LogMel
from zoo.models.speech_ctc import SpeechCTC
from zoo.tasks.transcription import Transcription

ALPHABET = " abcdefghijklmnopqrstuvwxyzáéíóúýčďěňřšťůž0123456789"


def config() -> Experiment:
    return Experiment(
        name="speech_ctc_cs",
        data=Packaged(name="fillets_cs"),
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
        task=Transcription(alphabet=ALPHABET, ignored=".,;:!?…\"“”„()-'\u2019"),
        training=Training(
            epochs=20,
            batch_size=16,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=1e-2,
            schedule="cosine",
            warmup_epochs=2,
            clip_norm=5.0,
            length_window=8,
        ),
    )
