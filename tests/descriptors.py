"""One tiny instance per registered name; the conformance tests run each of them through everything.

Two layers and two heads, never one: one is an edge case. A name without a descriptor fails a test.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from zoo.compression.base import AbstractTransform
from zoo.compression.cluster import Cluster
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import Quantize
from zoo.compression.quantize_aware import QuantizeAware
from zoo.compression.round_vectors import RoundVectors
from zoo.config import Experiment, Splits, Training
from zoo.data.base import AbstractSource
from zoo.data.packaged import Packaged
from zoo.data.synthetic import Synthetic
from zoo.data.synthetic_transcripts import SyntheticTranscripts
from zoo.data.tfds_source import Tfds
from zoo.features.augmentation import Cutout, Mixup, RandomAffine, RandomFlip, RandomShift, SpecAugment
from zoo.features.base import AbstractFeature
from zoo.features.images import ImageResize, ImageScaling
from zoo.features.sequences import SequenceNormalization, UtteranceNormalization
from zoo.features.sound import LPCC, MFCC, LogMel
from zoo.models.base import AbstractModel
from zoo.models.conv1d import Conv1DNet
from zoo.models.conv2d import Conv2DNet
from zoo.models.conv_attention import ConvAttentionNet
from zoo.models.mlp import DenseNet
from zoo.models.resnet import ResNet
from zoo.models.rnn import RecurrentNet
from zoo.models.speech_ctc import SpeechCTC
from zoo.models.transformer import TransformerEncoder
from zoo.tasks.base import AbstractTask
from zoo.tasks.classification import Classification
from zoo.tasks.transcription import Transcription

IMAGES = Synthetic(kind="images", shape=(12, 12, 1), num_classes=3, num_train=96, num_test=30)
SEQUENCES = Synthetic(kind="sequences", shape=(9, 5), num_classes=3, num_train=96, num_test=30, min_length=2)

TRANSCRIPTS = SyntheticTranscripts(num_train=96, num_test=30)


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A tiny model with data that fits it."""

    model: AbstractModel
    data: AbstractSource
    features: tuple[AbstractFeature, ...]
    task: AbstractTask = dataclasses.field(default_factory=Classification)

    def experiment(self, **training: object) -> Experiment:
        settings = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "strategy": "none", **training}
        return Experiment(
            name="tiny",
            data=self.data,
            splits=Splits(train="train[:64]", validation="train[64:]"),
            features=self.features,
            model=self.model,
            task=self.task,
            training=Training(**settings),  # type: ignore[arg-type]
        )


def _image(model: AbstractModel) -> Descriptor:
    return Descriptor(model, IMAGES, (ImageScaling(),))


def _transcript(model: AbstractModel) -> Descriptor:
    return Descriptor(model, TRANSCRIPTS, (SequenceNormalization(),), Transcription(alphabet=" abcd", beam_width=4))


def _sequence(model: AbstractModel) -> Descriptor:
    return Descriptor(model, SEQUENCES, (SequenceNormalization(),))


# By registered name, then by what is special: every value of every choice occurs.
MODELS: dict[str, dict[str, Descriptor]] = {
    "conv1d": {
        "average": _sequence(Conv1DNet(num_features=5, num_classes=3, filters=(6, 8), dense_units=10, dropout=0.0)),
        "residual": _sequence(
            Conv1DNet(
                num_features=5,
                num_classes=3,
                filters=(6, 6),
                convs_per_stage=2,
                batch_norm=True,
                residual=True,
                pooling="attention",
                dense_units=0,
                dropout=0.0,
            )
        ),
        "max": _sequence(
            Conv1DNet(num_features=5, num_classes=3, filters=(6, 8), pooling="max", dense_units=0, dropout=0.0)
        ),
    },
    "conv_attention": {
        "two_stages": _image(
            ConvAttentionNet(
                num_classes=3,
                input_shape=(12, 12, 1),
                widths=(8, 12),
                depths=(2, 2),
                num_heads=(2, 2),
                strides=(2, 2),
                patch_sizes=(5, 3),
            )
        ),
    },
    "conv2d": {
        "dense": _image(Conv2DNet(input_shape=(12, 12, 1), num_classes=3, filters=(4, 6), dense_units=8, dropout=0.0)),
        "batch_norm": _image(
            Conv2DNet.preset("batch_norm", input_shape=(12, 12, 1), num_classes=3, filters=(4, 6), dropout=0.0)
        ),
    },
    "mlp": {
        "dense": _image(DenseNet(input_shape=(12, 12, 1), num_classes=3, units=(8, 6), dropout=0.0)),
    },
    "resnet": {
        "bottleneck": _image(
            ResNet(depth=50, num_classes=3, input_shape=(12, 12, 1), blocks=(1, 2), width=3, norm_synchronized=True)
        ),
        "cifar_zeros": _image(ResNet.preset("cifar8", num_classes=3, input_shape=(12, 12, 1), width=4)),
        "pre_activation": _image(
            ResNet(
                depth=18,
                num_classes=3,
                input_shape=(12, 12, 1),
                blocks=(1, 2),
                width=3,
                stem="cifar",
                pre_activation=True,
            )
        ),
        "keras_bottleneck": _image(
            ResNet.preset("keras_resnet50", num_classes=3, input_shape=(12, 12, 1), blocks=(1, 1), width=2)
        ),
    },
    "rnn": {
        "simple": _sequence(RecurrentNet(num_features=5, num_classes=3, cell="simple", units=(6, 6), dropout=0.0)),
        "lstm": _sequence(RecurrentNet(num_features=5, num_classes=3, cell="lstm", units=(6, 6), dropout=0.0)),
        "gru_bidirectional": _sequence(
            RecurrentNet(
                num_features=5,
                num_classes=3,
                cell="gru",
                units=(6, 6),
                bidirectional=True,
                pooling="average",
                dropout=0.0,
            )
        ),
    },
    "speech_ctc": {
        kind: _transcript(
            SpeechCTC(
                num_features=6,
                num_symbols=6,
                encoder=kind,  # type: ignore[arg-type]
                width=8,
                depth=2,
                strides=strides,
                num_heads=2,
                mlp_width=12,
                kernel_size=3,
                block_kernel_size=3,
                dropout=0.0,
            )
        )
        for kind, strides in (("transformer", (3,)), ("gru", (2, 2)), ("lstm", (1, 2)), ("conformer", (2, 2)))
    },
    "transformer": {
        "sinusoidal": _sequence(
            TransformerEncoder(num_features=5, num_classes=3, width=8, depth=2, num_heads=2, mlp_width=12, dropout=0.0)
        ),
        "rotary_attention": _sequence(
            TransformerEncoder(
                num_features=5,
                num_classes=3,
                width=8,
                depth=2,
                num_heads=2,
                mlp_width=12,
                positions="rotary",
                pooling="attention",
                dropout=0.0,
            )
        ),
        "learned_norm_last": _sequence(
            TransformerEncoder(
                num_features=5,
                num_classes=3,
                width=8,
                depth=2,
                num_heads=2,
                mlp_width=12,
                positions="learned",
                max_length=24,
                norm_first=False,
                dropout=0.0,
            )
        ),
    },
}

SOURCES: dict[str, AbstractSource] = {
    "packaged": Packaged(name="digits"),
    "synthetic": IMAGES,
    "synthetic_transcripts": TRANSCRIPTS,
    "tfds": Tfds(name="mnist"),
}
FEATURES: dict[str, AbstractFeature] = {
    "cutout": Cutout(pixels=4),
    "image_resize": ImageResize(height=10, width=14),
    "image_scaling": ImageScaling(max_value=16.0),
    "log_mel": LogMel(sample_rate_hz=1000, frame_ms=32.0, num_mels=3),
    "lpcc": LPCC(sample_rate_hz=1000, frame_ms=32.0, order=4, num_coefficients=5, deltas=1),
    "mfcc": MFCC(sample_rate_hz=1000, frame_ms=32.0, num_mels=4, num_coefficients=2, deltas=2),
    "mixup": Mixup(num_classes=3, alpha=1.0),
    "random_affine": RandomAffine(),
    "random_flip": RandomFlip(),
    "random_shift": RandomShift(pixels=1),
    "sequence_normalization": SequenceNormalization(mean=(1.0, 2.0), std=(0.5, 0.25)),
    "spec_augment": SpecAugment(max_span=6, max_share=0.6, max_band=1),
    "utterance_normalization": UtteranceNormalization(),
}
TASKS: dict[str, AbstractTask] = {"classification": Classification(), "transcription": Transcription()}
COMPRESSIONS: dict[str, AbstractTransform] = {
    "cluster": Cluster(4),
    "fold_batch_norm": FoldBatchNorm(),
    "prune": Prune(0.5),
    "prune_channels": PruneChannels(0.5),
    "quantize": Quantize("int8"),
    "quantize_aware": QuantizeAware("int4"),
    "round_vectors": RoundVectors(),
}


def every_model() -> list[tuple[str, Descriptor]]:
    return [(f"{name}-{kind}", one) for name, kinds in MODELS.items() for kind, one in kinds.items()]


def costly_params(*slow_families: str) -> list[Any]:
    """Returns every descriptor as a parameter of a test that trains or exports: all but the first of a family slow.

    Args:
        slow_families: whose first is slow as well.
    """
    firsts = {f"{name}-{next(iter(kinds))}" for name, kinds in MODELS.items() if name not in slow_families}
    slow = pytest.mark.slow
    return [pytest.param(one, id=name, marks=() if name in firsts else slow) for name, one in every_model()]
