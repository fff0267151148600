"""ResNet: the published counts, the strides, the shortcuts; agreement with Keras Applications and its weights."""

import math

import keras
import numpy as np
import pytest

from zoo.errors import DataError, DataUnavailableError, InvalidValueError, UnknownNameError
from zoo.layers.residual import ZeroShortcut
from zoo.models import pretrained
from zoo.models.pretrained import CAFFE_MEAN_BGR, caffe_preprocessed, load_keras_applications_weights
from zoo.models.resnet import ResNet


def symbolic(**fields):
    """Returns a model whose weights have shapes and no values."""
    with keras.StatelessScope():
        return ResNet(**fields).build()


def num_trainable(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    # torchvision's, which arXiv 1512.03385 rounds
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_parameters_for_imagenet_are_as_published(depth, parameters):
    assert num_trainable(symbolic(depth=depth, num_classes=1000)) == parameters


@pytest.mark.parametrize(("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")])
def test_parameters_for_cifar_are_as_published(depth, millions):
    with keras.StatelessScope():
        model = ResNet.preset(f"cifar{depth}", num_classes=10, input_shape=(32, 32, 3)).build()
    assert f"{num_trainable(model) / 1e6:.{len(millions) - 2}f}" == millions
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) + 1 == depth  # and the dense layer


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_depth_counts_the_layers_with_weights(depth):
    model = symbolic(depth=depth, num_classes=10)
    counted = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and "shortcut" not in layer.name
    ]
    assert len(counted) == depth


def randomise(model, seed):
    random = np.random.default_rng(seed)
    for variable in model.weights:
        scale = 0.3 if len(variable.shape) < 2 else math.sqrt(2 / math.prod(variable.shape[:-1]))
        value = random.normal(scale=scale, size=variable.shape)
        variable.assign(np.abs(value) + 0.5 if variable.name in ("gamma", "moving_variance") else value)


def keras_resnet(name, **arguments):
    theirs = getattr(keras.applications, name)(weights=None, classifier_activation=None, **arguments)
    randomise(theirs, 0)
    return theirs


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_resnet50_agrees_with_keras_applications(suffix, tmp_path):
    theirs = keras_resnet("ResNet50")
    assert theirs.count_params() == 25_636_712
    path = tmp_path / f"resnet50{suffix}"
    theirs.save_weights(path) if suffix == ".weights.h5" else theirs.save(path)
    ours = ResNet.preset("keras_resnet50", num_classes=1000).build()
    assert ours.count_params() == 25_636_712
    load_keras_applications_weights(ours, "resnet50", path)
    image = np.random.default_rng(1).normal(size=(2, 224, 224, 3)).astype("float32")
    expected = np.asarray(theirs(image))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(ours({"image": image})["logits"], expected, atol=1e-5 * np.abs(expected).max())


def test_the_body_alone_leaves_the_head_as_it_was(tmp_path):
    theirs = keras_resnet("ResNet101", include_top=False, pooling="avg", input_shape=(64, 48, 3))
    theirs.save_weights(tmp_path / "body.weights.h5")
    ours = ResNet.preset("keras_resnet101", num_classes=3, input_shape=(64, 48, 3)).build()
    before = [np.array(weight) for weight in ours.get_layer("logits").weights]
    load_keras_applications_weights(ours, "resnet101", tmp_path / "body.weights.h5", head=False)
    for weight, value in zip(ours.get_layer("logits").weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    body = keras.Model(ours.input, ours.get_layer("average").output)
    image = np.random.default_rng(1).normal(size=(2, 64, 48, 3)).astype("float32")
    expected = np.asarray(theirs(image))
    np.testing.assert_allclose(body({"image": image}), expected, atol=1e-5 * np.abs(expected).max())


def test_weights_of_another_network_are_refused(tmp_path):
    fields = {"num_classes": 1000, "input_shape": (32, 32, 3)}
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'"):
        load_keras_applications_weights(symbolic(depth=18, **fields), "resnet5")
    with pytest.raises(InvalidValueError, match=r"keras_resnet50.*layers that only one"):
        load_keras_applications_weights(symbolic(depth=18, **fields), "resnet50")
    with pytest.raises(InvalidValueError, match=r"keras_resnet50.*has no bias"):
        load_keras_applications_weights(symbolic(depth=50, **fields), "resnet50")
    with pytest.raises(InvalidValueError, match=r"keras_resnet50.*there `stem_conv/kernel` is \(7, 7, 3, 64\)"):
        load_keras_applications_weights(symbolic(depth=50, width=32, **fields), "resnet50")
    with pytest.raises(InvalidValueError, match="three channels"):
        load_keras_applications_weights(symbolic(depth=50, num_classes=3, input_shape=(32, 32, 1)), "resnet50")
    with pytest.raises(InvalidValueError, match="`head=False` leaves it out"):
        load_keras_applications_weights(symbolic(depth=50, num_classes=3, input_shape=(32, 32, 3)), "resnet50")
    with keras.StatelessScope():
        model = ResNet.preset("keras_resnet50", **fields).build()
    with pytest.raises(DataUnavailableError, match="No file of weights at"):
        load_keras_applications_weights(model, "resnet50", tmp_path / "none.weights.h5")
    (tmp_path / "bad.weights.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="does not hold the weights of Keras's resnet50 with a classifier of 1000"):
        load_keras_applications_weights(model, "resnet50", tmp_path / "bad.weights.h5")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [(lambda url: "name not known", "name not known"), (lambda url: hang(), "no answer within 0 s")],
)
def test_a_host_that_does_not_answer_is_told_at_once(asked, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "_ask", asked)
    monkeypatch.setattr(pretrained, "_TIMEOUT_S", 0.1)
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    with keras.StatelessScope():
        model = ResNet.preset("keras_resnet50", num_classes=2, input_shape=(32, 32, 3)).build()
    with pytest.raises(DataUnavailableError, match=f"{reason}. Download that file.*give its path as `weights`"):
        load_keras_applications_weights(model, head=False)


def hang():
    import time

    time.sleep(2)
    return ""


def test_caffe_preprocessing_is_that_of_keras():
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3))
    expected = keras.applications.resnet50.preprocess_input(image.astype("float32"))
    np.testing.assert_allclose(caffe_preprocessed(image), np.asarray(expected), atol=1e-4)
    np.testing.assert_allclose(caffe_preprocessed(np.zeros((1, 1, 3)))[0, 0], [-mean for mean in CAFFE_MEAN_BGR])


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 5)], ids=["even", "odd"])
def test_zero_shortcut_keeps_every_second_pixel_and_appends_zeros(height, width):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype("float32")
    layer = ZeroShortcut(8, 2)
    y = np.asarray(layer(x))
    assert not layer.weights
    assert y.shape == layer.compute_output_shape(x.shape) == (2, 3 if height == 6 else 4, 3, 8)
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            np.testing.assert_array_equal(y[:, row, column, :3], x[:, 2 * row, 2 * column])
    assert not y[..., 3:].any()


def test_zero_shortcut_refuses_to_drop_channels():
    with pytest.raises(ValueError, match="filters=2"):
        ZeroShortcut(2)(np.zeros((1, 2, 2, 3), "float32"))


@pytest.mark.parametrize(("stride_in", "strided"), [("first", "conv1"), ("middle", "conv2")])
def test_a_bottleneck_strides_where_it_is_told(stride_in, strided):
    model = symbolic(depth=50, num_classes=2, stride_in=stride_in)
    strides = {layer.name: layer.strides for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    of_blocks = {name for name, stride in strides.items() if stride == (2, 2) and "_block1_conv" in name}
    assert of_blocks == {f"stage{stage}_block1_{strided}" for stage in (2, 3, 4)}


@pytest.mark.parametrize("side", [8, 9], ids=["even", "odd"])
def test_a_strided_kernel_has_its_centre_on_every_second_pixel(side):
    model = ResNet(depth=18, num_classes=2, input_shape=(side, side, 1), blocks=(1, 1), width=2, stem="cifar").build()
    kernel = np.zeros((3, 3, 2, 4), "float32")
    kernel[1, 1, [0, 1], [0, 1]] = 1
    model.get_layer("stage2_block1_conv1").kernel.assign(kernel)
    outputs = [model.get_layer(name).output for name in ("stage1_block1_relu", "stage2_block1_conv1")]
    image = np.random.default_rng(0).normal(size=(1, side, side, 1)).astype("float32")
    x, y = keras.Model(model.input, outputs)({"image": image})
    np.testing.assert_allclose(y[..., :2], np.asarray(x)[:, ::2, ::2], atol=1e-6)


def test_before_activation_nothing_stands_between_a_block_and_the_next():
    model = symbolic(depth=110, num_classes=2, input_shape=(32, 32, 3), pre_activation=True)
    assert "stage1_block1_norm1" not in {layer.name for layer in model.layers}, "the stem's own is the first"
    add = model.get_layer("stage2_block2_add")
    assert {tensor._keras_history.operation.name for tensor in add.input} == {
        "stage2_block1_add",
        "stage2_block2_conv2",
    }
    assert model.get_layer("average").input._keras_history.operation.name == "relu"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": 19}, r"`depth` must be one of 8, 14, 18, 20,.*Received: depth=19"),
        ({"blocks": ()}, "blocks"),
        ({"width": 0}, "width"),
        ({"norm_epsilon": 0.0}, "norm_epsilon"),
        ({"norm_momentum": 1.0}, "norm_momentum"),
        ({"num_classes": 0}, "num_classes"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refused_hyperparameters(fields, message):
    with pytest.raises(InvalidValueError, match=message):
        ResNet(**{"num_classes": 2, **fields})
