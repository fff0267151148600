"""The explicit tables: every name that a configuration, a command or `zoo.build` may use.

A row is a name, where the class stands, and a line for people. Classes are imported when a name is used, so that
reading the tables costs nothing. To add a family, a source, a feature, a task or a transform: one file, one row.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from zoo.errors import UnknownNameError

__all__ = [
    "COMPRESSIONS",
    "FEATURES",
    "LAYERS",
    "MODELS",
    "RECIPES",
    "SOURCES",
    "TASKS",
    "Entry",
    "custom_objects",
    "lookup",
    "name_of",
]


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a class stands, as `module:Class`, and what it is for."""

    target: str
    summary: str

    def load(self) -> Any:
        """Imports and returns the class."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


MODELS = {
    "conv1d": Entry("zoo.models.conv1d:Conv1DNet", "1-D convolutions over frames, to classes"),
    "conv_attention": Entry(
        "zoo.models.conv_attention:ConvAttentionNet", "convolutional attention over images, to classes"
    ),
    "conv2d": Entry("zoo.models.conv2d:Conv2DNet", "2-D convolutions over small images, to classes"),
    "mlp": Entry("zoo.models.mlp:DenseNet", "dense layers over small images, to classes"),
    "resnet": Entry("zoo.models.resnet:ResNet", "residual networks of 8 to 152 layers over images, to classes"),
    "rnn": Entry("zoo.models.rnn:RecurrentNet", "stacked simple, LSTM or GRU layers over frames, to classes"),
    "speech_ctc": Entry("zoo.models.speech_ctc:SpeechCTC", "frames to characters, by CTC"),
    "transformer": Entry("zoo.models.transformer:TransformerEncoder", "attention encoder over frames, to classes"),
}

SOURCES = {
    "packaged": Entry("zoo.data.packaged:Packaged", "real data that ships inside packages (see `zoo data list`)"),
    "synthetic": Entry("zoo.data.synthetic:Synthetic", "made-up examples with a pattern to learn, for tests"),
    "synthetic_transcripts": Entry(
        "zoo.data.synthetic_transcripts:SyntheticTranscripts", "made-up frames and what they say, for tests"
    ),
    "tfds": Entry("zoo.data.tfds_source:Tfds", "any data set that tensorflow-datasets knows by name"),
}

FEATURES = {
    "cutout": Entry("zoo.features.augmentation:Cutout", "a square of each training image set to zero"),
    "image_resize": Entry("zoo.features.images:ImageResize", "images to another size"),
    "image_scaling": Entry("zoo.features.images:ImageScaling", "pixels to 0..1"),
    "log_mel": Entry("zoo.features.sound:LogMel", "sound to log-mel energies of frames"),
    "lpcc": Entry("zoo.features.sound:LPCC", "sound to linear prediction cepstra of frames"),
    "mfcc": Entry("zoo.features.sound:MFCC", "sound to mel-frequency cepstra of frames"),
    "mixup": Entry("zoo.features.augmentation:Mixup", "training images and their classes mixed in pairs"),
    "random_affine": Entry("zoo.features.augmentation:RandomAffine", "training images turned, scaled and moved"),
    "random_flip": Entry("zoo.features.augmentation:RandomFlip", "training images turned left to right"),
    "random_shift": Entry("zoo.features.augmentation:RandomShift", "training images moved by a few pixels"),
    "sequence_normalization": Entry(
        "zoo.features.sequences:SequenceNormalization", "frames to mean 0 and variance 1, padding left out"
    ),
    "spec_augment": Entry("zoo.features.augmentation:SpecAugment", "spans and bands of training frames hidden"),
    "utterance_normalization": Entry(
        "zoo.features.sequences:UtteranceNormalization", "each clip's frames to mean 0 and variance 1"
    ),
}

TASKS = {
    "classification": Entry("zoo.tasks.classification:Classification", "one of N classes, by cross-entropy"),
    "transcription": Entry("zoo.tasks.transcription:Transcription", "text for sound, by CTC over characters"),
}

COMPRESSIONS = {
    "cluster": Entry("zoo.compression.cluster:Cluster", "k shared values in each weight tensor, trained"),
    "fold_batch_norm": Entry(
        "zoo.compression.fold_batch_norm:FoldBatchNorm", "batch normalisation made a part of the layer before it"
    ),
    "prune": Entry("zoo.compression.prune:Prune", "the smallest weights set to zero on a schedule"),
    "prune_channels": Entry(
        "zoo.compression.prune_channels:PruneChannels", "channels and heads that matter least taken out of the model"
    ),
    "quantize": Entry("zoo.compression.quantize:Quantize", "weights rounded to 8 or fewer bits per channel, untrained"),
    "quantize_aware": Entry(
        "zoo.compression.quantize_aware:QuantizeAware", "weights of 8, 4 or 2 bits per channel, scales trained"
    ),
    "round_vectors": Entry(
        "zoo.compression.round_vectors:RoundVectors", "biases, scales and statistics rounded to bfloat16, untrained"
    ),
}

RECIPES = {
    "clustered": Entry("zoo.recipes.named:clustered", "32 shared values"),
    "deep": Entry("zoo.recipes.named:deep", "94% zeros, then 5 shared values, taught by the dense model; long"),
    "deep_images": Entry("zoo.recipes.named:deep_images", "deep, on images moved by a pixel at random"),
    "edge": Entry("zoo.recipes.named:edge", "a ladder: 8 bits for weights and activations, for LiteRT"),
    "fast": Entry("zoo.recipes.named:fast", "a ladder: fewer channels, normalisations folded; quicker on a CPU"),
    "pruned": Entry("zoo.recipes.named:pruned", "80% zeros"),
    "pruned_clustered": Entry("zoo.recipes.named:pruned_clustered", "80% zeros, then 32 shared values"),
    "small": Entry("zoo.recipes.named:small", "a ladder: moderate pruning, then 8 bits or 32 values; quick"),
    "tiny": Entry("zoo.recipes.named:tiny", "a ladder: as few weights and values as hold; the dense model teaches"),
}

LAYERS = {
    "ActivationQuantizer": Entry("zoo.layers.quantization:ActivationQuantizer", ""),
    "BlankPadding": Entry("zoo.layers.ctc:BlankPadding", ""),
    "LearnedPositions": Entry("zoo.layers.positions:LearnedPositions", ""),
    "MaskPadding": Entry("zoo.layers.masking:MaskPadding", ""),
    "MaskedAttentionPooling": Entry("zoo.layers.attention:MaskedAttentionPooling", ""),
    "MaskedAveragePooling": Entry("zoo.layers.masking:MaskedAveragePooling", ""),
    "MaskedMaxPooling": Entry("zoo.layers.masking:MaskedMaxPooling", ""),
    "MatMulAttention": Entry("zoo.layers.attention:MatMulAttention", ""),
    "PoolMask": Entry("zoo.layers.masking:PoolMask", ""),
    "StridedMask": Entry("zoo.layers.ctc:StridedMask", ""),
    "RotaryAttention": Entry("zoo.layers.attention:RotaryAttention", ""),
    "SinusoidalPositions": Entry("zoo.layers.positions:SinusoidalPositions", ""),
    "ZeroShortcut": Entry("zoo.layers.residual:ZeroShortcut", ""),
}


def lookup(table: Mapping[str, Entry], kind: str, name: str) -> Any:
    """Returns the class or function called `name` in `table`.

    Raises:
        UnknownNameError: it is not there; the message lists what is, and the nearest.
    """
    if name not in table:
        raise UnknownNameError(kind, name, table)
    return table[name].load()


def name_of(table: Mapping[str, Entry], cls: type) -> str:
    """Returns the name under which `cls` stands in `table`; `UnknownNameError` where it does not."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    for name, entry in table.items():
        if entry.target == target:
            return name
    raise UnknownNameError("class", target, (entry.target for entry in table.values()))


def custom_objects() -> dict[str, type]:
    """Returns the layers of the zoo by the name that a saved `.keras` file uses."""
    return {name: entry.load() for name, entry in LAYERS.items()}
