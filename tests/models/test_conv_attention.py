"""Convolutional attention: sizes of the maps, published counts, what attends to what, values that are refused."""

import math

import keras
import numpy as np
import pytest

from zoo.errors import InvalidValueError
from zoo.models.conv_attention import ConvAttentionNet

TINY = {
    "num_classes": 3,
    "widths": (4, 6),
    "depths": (1, 2),
    "num_heads": (2, 2),
    "strides": (2, 2),
    "patch_sizes": (3, 3),
}


@pytest.mark.parametrize(
    ("side", "key_stride", "sizes"),
    # Half of the side, rounded up, is a stage's map; half of that, rounded up, are the keys.
    [
        ((12, 12), 2, [(36, 9), (9, 4)]),
        ((13, 11), 2, [(42, 12), (12, 4)]),
        ((7, 10), 3, [(20, 4), (6, 1)]),
        ((1, 1), 2, [(1, 1), (1, 1)]),
        ((6, 5), 1, [(9, 9), (4, 4)]),
    ],
    ids=["even", "odd", "three", "one-pixel", "no-stride"],
)
def test_tokens_of_every_size(side, key_stride, sizes):
    model = ConvAttentionNet(input_shape=(*side, 2), key_stride=key_stride, **TINY).build()
    for stage, (queries, keys) in enumerate(sizes, start=1):
        tokens = {
            kind: model.get_layer(f"stage{stage}_block1_{kind}_tokens").output.shape[1]
            for kind in ("query", "key", "value")
        }
        assert tokens == {"query": queries, "key": keys, "value": keys}
    image = np.random.default_rng(0).normal(size=(2, *side, 2)).astype("float32")
    logits = np.asarray(model({"image": image})["logits"])
    assert logits.shape == (2, 3)
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_parameters_are_as_published():
    """CvT-13 has 20 million, a token for the class and the normalisation behind each convolution included."""
    fields = ConvAttentionNet.preset("cvt13", num_classes=1000)
    with keras.StatelessScope():
        model = fields.build()
    num_parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    num_norms = sum(3 * 2 * width * depth for width, depth in zip(fields.widths, fields.depths, strict=True))
    assert f"{(num_parameters + num_norms + fields.widths[-1]) / 1e6:.1f}" == "20.0"


def test_small28_is_small():
    assert 200_000 <= ConvAttentionNet.preset("small28", num_classes=10).build().count_params() <= 400_000


def test_every_pixel_reaches_every_token_of_a_block():
    model = ConvAttentionNet(input_shape=(32, 32, 1), **TINY).build()
    name = "stage1_block1"
    before, after = (model.get_layer(layer).output for layer in ("stage1_tokens", f"{name}_attention_add"))
    block = keras.Model(before, after)
    x = np.random.default_rng(0).normal(size=(1, *before.shape[1:])).astype("float32")
    changed = x.copy()
    changed[:, -1, -1] += np.array([3, -3, 0, 1], "float32")
    moved = np.abs(np.asarray(block(changed)) - np.asarray(block(x))).max(axis=-1)[0]
    assert (moved > 0).all(), "a convolution alone would leave the far corner as it was"


def test_the_middle_of_a_key_is_every_second_pixel():
    model = ConvAttentionNet(input_shape=(12, 12, 1), **TINY).build()
    kernel = np.zeros((3, 3, 4, 1), "float32")
    kernel[1, 1] = 1
    model.get_layer("stage1_block1_key_conv").kernel.assign(kernel)
    names = ("stage1_block1_attention_norm", "stage1_block1_key_conv")
    image = np.random.default_rng(0).normal(size=(1, 12, 12, 1)).astype("float32")
    x, keys = keras.Model(model.input, [model.get_layer(name).output for name in names])({"image": image})
    np.testing.assert_allclose(keys, np.asarray(x)[:, ::2, ::2], atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"widths": (5, 6)}, r"widths.*divisible by num_heads=\(2, 2\)"),
        ({"depths": (1,)}, r"depths.*of 2 numbers.*Received: depths=\(1,\)"),
        ({"widths": ()}, "widths"),
        ({"strides": (2, 0)}, "strides"),
        ({"patch_sizes": (3, 4)}, "patch_sizes.*odd"),
        ({"kernel_size": 2}, "kernel_size.*odd"),
        ({"key_stride": 0}, "key_stride"),
        ({"dropout": 1.0}, "dropout"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refused_hyperparameters(fields, message):
    with pytest.raises(InvalidValueError, match=message):
        ConvAttentionNet(**{**TINY, **fields})
