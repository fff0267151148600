"""Families: presets, published sizes, values that are refused; `zoo.build`."""

import pytest

import zoo
from zoo.errors import InvalidValueError, UnknownNameError, UsageError
from zoo.models.conv1d import Conv1DNet
from zoo.models.conv2d import Conv2DNet
from zoo.models.rnn import RecurrentNet
from zoo.models.transformer import TransformerEncoder


@pytest.mark.parametrize(
    ("family", "arguments", "parameters"),
    [
        ("conv2d", {"preset": "dense64", "num_classes": 10}, 121_930),
        ("conv2d", {"preset": "dense128", "num_classes": 10}, 225_034),
        # (4 * units * (inputs + units + 1)) per LSTM layer, and the head
        ("rnn", {"preset": "lstm128x2", "num_features": 12, "num_classes": 9}, 4 * 128 * (141 + 257) + 129 * 9),
        ("rnn", {"preset": "lstm128x3", "num_features": 12, "num_classes": 9}, 4 * 128 * (141 + 2 * 257) + 129 * 9),
        # kernels of 3 frames: 12 to 64, 64 to 128; 128 to 256; 256 to 9
        ("conv1d", {"num_features": 12, "num_classes": 9}, 37 * 64 + 193 * 128 + 129 * 256 + 257 * 9),
    ],
    ids=["dense64", "dense128", "lstm128x2", "lstm128x3", "conv1d"],
)
def test_parameter_count(family, arguments, parameters):
    assert zoo.build(family, **arguments).count_params() == parameters


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2DNet(num_classes=10, filters=(4, 4, 4, 4)), "filters.*left with at least 1x1"),
        (lambda: Conv2DNet(num_classes=0), "num_classes.*Received: num_classes=0"),
        (lambda: Conv2DNet(num_classes=2, dense_units=-1), "dense_units"),
        (lambda: Conv1DNet(num_features=1, num_classes=2, kernel_size=4), "kernel_size.*odd"),
        (lambda: Conv1DNet(num_features=1, num_classes=2, filters=()), "filters"),
        (lambda: RecurrentNet(num_features=1, num_classes=2, units=(8, 0)), "units"),
        (lambda: RecurrentNet(num_features=1, num_classes=2, dropout=1.0), "dropout"),
        (lambda: TransformerEncoder(num_features=1, num_classes=2, width=10, num_heads=4), "divisible by num_heads=4"),
    ],
    ids=["stages", "classes", "dense", "even-kernel", "no-filters", "units", "dropout", "heads"],
)
def test_refused_hyperparameters(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


def test_build_refuses_what_it_does_not_know():
    with pytest.raises(UnknownNameError, match="Unknown model: 'resnest'.*Did you mean 'resnet'"):
        zoo.build("resnest", depth=18)
    with pytest.raises(UnknownNameError, match="Did you mean 'num_classes'"):
        zoo.build("conv2d", num_class=10)
    with pytest.raises(UnknownNameError, match="preset"):
        zoo.build("conv2d", preset="dense65", num_classes=10)
    with pytest.raises(UsageError, match="`rnn.cell` must be"):
        zoo.build("rnn", num_features=3, num_classes=2, cell="elman")


def test_learned_positions_refuse_a_longer_sequence():
    import numpy as np
    import tensorflow as tf

    model = TransformerEncoder(
        num_features=2, num_classes=2, width=4, num_heads=2, mlp_width=4, positions="learned", max_length=5
    ).build()
    frames = np.zeros((1, 6, 2), "float32")
    with pytest.raises(ValueError, match="longer than max_length=5"):
        model({"frames": frames, "padding_mask": np.ones((1, 6), bool)})

    @tf.function(
        input_signature=[
            {"frames": tf.TensorSpec([None, None, 2]), "padding_mask": tf.TensorSpec([None, None], tf.bool)}
        ]
    )
    def call(inputs):
        return model(inputs)

    call({"frames": tf.constant(frames[:, :5]), "padding_mask": tf.ones((1, 5), tf.bool)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="longer than the 5 positions"):
        call({"frames": tf.constant(frames), "padding_mask": tf.ones((1, 6), tf.bool)})


def test_sequence_without_a_frame_is_no_nan():
    import numpy as np

    for model in (Conv1DNet(num_features=2, num_classes=2), TransformerEncoder(num_features=2, num_classes=2)):
        frames = np.ones((1, 4, 2), "float32")
        logits = model.build()({"frames": frames, "padding_mask": np.zeros((1, 4), bool)})["logits"]
        assert np.isfinite(logits).all()
