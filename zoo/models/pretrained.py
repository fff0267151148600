"""Published weights into models of the zoo; a builder itself reads no files.

The weights of Keras Applications were trained in Caffe's manner (arXiv 1512.03385): an image is RGB of 0..255 that is
turned to BGR, less `CAFFE_MEAN_BGR`, and not scaled. `caffe_preprocessed` does that.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DataError, DataUnavailableError, InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["CAFFE_MEAN_BGR", "caffe_preprocessed", "load_keras_applications_weights"]

# Mean of ImageNet's training images, of 0..255, blue first (keras.applications, mode "caffe").
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)

_BUILDERS = {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152"}
_TIMEOUT_S = 6.0


def caffe_preprocessed(image: np.ndarray) -> np.ndarray:
    """Returns float32 [..., H, W, 3], blue first and less the mean, of RGB [..., H, W, 3] of 0..255.

    Example:
        >>> import numpy as np
        >>> caffe_preprocessed(np.array([[[255, 0, 0]]])).astype(int).tolist()
        [[[-103, -116, 131]]]
    """
    import numpy as np

    return np.asarray(image, "float32")[..., ::-1] - np.asarray(CAFFE_MEAN_BGR, "float32")


def load_keras_applications_weights(
    model: keras.Model, name: str = "resnet50", weights: Path | str = "imagenet", *, head: bool = True
) -> None:
    """Sets the weights of a ResNet of ours to those that Keras Applications publish, or a file holds.

    Build `model` by the preset of the same depth, `ResNet.preset("keras_resnet50", num_classes=1000)`, for images of
    three channels of at least 32x32. Its `image` must be prepared by `caffe_preprocessed`.

    Args:
        model: changed in place.
        name: "resnet50", "resnet101" or "resnet152".
        weights: "imagenet", which downloads about 100 to 240 MB unless Keras has them in its cache, or a file
            `.weights.h5` or `.h5` that `keras.applications`' model of that name has saved or that was downloaded.
        head: set the classifier too; False leaves ours as it is, for classes of one's own, and takes a file without
            a classifier (`include_top=False`, the `_notop` files).

    Raises:
        UnknownNameError: no such `name`.
        InvalidValueError: the network is not the one of `name`, or has other than 1,000 classes for ImageNet's.
        DataUnavailableError: the file is not there, or the host does not answer.
        DataError: the file does not hold these weights.

    Example:
        >>> import zoo
        >>> model = zoo.build("resnet", preset="keras_resnet50", num_classes=10)  # doctest: +SKIP
        >>> load_keras_applications_weights(model, weights="resnet50.weights.h5", head=False)  # doctest: +SKIP
    """
    import keras

    if name not in _BUILDERS:
        raise UnknownNameError("network of Keras Applications", name, _BUILDERS)
    shape, classes = tuple(model.inputs[0].shape[1:]), model.outputs[0].shape[-1]
    if len(shape) != 3 or shape[-1] != 3 or min(shape[:2]) < 32:
        raise InvalidValueError("input_shape", "an image of at least 32x32 of three channels", shape)
    if head and str(weights) == "imagenet" and classes != 1000:
        raise InvalidValueError("num_classes", "1000 for ImageNet's classifier; `head=False` leaves it out", classes)
    build = getattr(keras.applications, _BUILDERS[name])
    theirs = build(weights=None, include_top=head, input_shape=shape, **({"classes": classes} if head else {}))
    pairs = list(_pairs(model, theirs, name, head))  # before a file is read or fetched
    path = _downloaded(name, head) if str(weights) == "imagenet" else Path(weights)
    if not path.is_file():
        raise DataUnavailableError(f"No file of weights at {path}. Give the path of a .weights.h5 or .h5 file.")
    try:
        theirs.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        top = f"with a classifier of {classes} classes" if head else "without a classifier"
        raise DataError(f"{path} does not hold the weights of Keras's {name} {top}: {error}") from error
    for own, their in pairs:
        own.assign(their)


def _pairs(model: keras.Model, theirs: keras.Model, name: str, head: bool) -> Iterator[tuple[Any, Any]]:
    """Yields our variables with Keras's, all of the body's and of the head's when asked.

    Raises:
        InvalidValueError: the two are not the same network.
    """
    found = {_our_name(layer.name): layer for layer in theirs.layers if layer.weights}
    own = {layer.name: layer for layer in model.layers if layer.weights and (head or layer.name != "logits")}
    expected = f"a ResNet as `ResNet.preset('keras_{name}')` builds it"
    unlike = sorted(found.keys() ^ own.keys())
    if unlike:
        raise InvalidValueError("model", f"{expected}; layers that only one of the two has: {unlike[:4]}", model.name)
    for layer, their_layer in found.items():
        their_variables = {variable.name: variable for variable in their_layer.weights}
        for variable in own[layer].weights:
            their = their_variables.pop(variable.name, None)
            if their is None or their.shape != variable.shape:
                shape = "nothing" if their is None else tuple(their.shape)
                reason = f"{expected}; there `{variable.path}` is {shape}, here {tuple(variable.shape)}"
                raise InvalidValueError("model", reason, model.name)
            yield variable, their
        if their_variables:
            raise InvalidValueError("model", f"{expected}; `{layer}` has no {', '.join(their_variables)}", model.name)


def _our_name(theirs: str) -> str:
    """Returns our name of a layer of Keras's.

    >>> _our_name("conv2_block1_0_bn"), _our_name("conv5_block3_2_conv"), _our_name("conv1_bn")
    ('stage1_block1_shortcut_norm', 'stage4_block3_conv2', 'stem_norm')
    """
    if theirs == "predictions":
        return "logits"
    *place, kind = theirs.split("_")
    kind = {"conv": "conv", "bn": "norm"}[kind]
    if place == ["conv1"]:
        return f"stem_{kind}"
    stage, block, index = place
    part = f"shortcut_{kind}" if index == "0" else f"{kind}{index}"
    return f"stage{int(stage.removeprefix('conv')) - 1}_{block}_{part}"


def _downloaded(name: str, head: bool) -> Path:
    """Returns the file of ImageNet's weights in Keras's cache, fetched if it is not there."""
    import keras
    from keras.src.applications.resnet import BASE_WEIGHTS_PATH, WEIGHTS_HASHES  # Keras exports neither of these
    from keras.src.backend.config import keras_home

    file_name = f"{name}_weights_tf_dim_ordering_tf_kernels{'' if head else '_notop'}.h5"
    url = f"{BASE_WEIGHTS_PATH}{file_name}"
    cached = Path(str(keras_home())) / "models" / file_name
    trouble = "" if cached.is_file() else _trouble(url)
    if not trouble:
        try:
            md5 = WEIGHTS_HASHES[name][0 if head else 1]
            return Path(str(keras.utils.get_file(file_name, url, cache_subdir="models", file_hash=md5)))
        except Exception as error:  # what get_file raises for a failed download and for a wrong hash
            trouble = str(error)
    raise DataUnavailableError(
        f"The weights of {name} cannot be had from {url}: {trouble}. Download that file on a machine that can, and "
        f"give its path as `weights`, or lay it at {cached}."
    )


def _trouble(url: str) -> str:
    """Returns why `url` gives no answer, found out within 6 s; empty when it answers."""
    found: list[str] = []
    # A thread, since looking up a name has no timeout.
    thread = threading.Thread(target=lambda: found.append(_ask(url)), daemon=True)
    thread.start()
    thread.join(_TIMEOUT_S)
    return found[0] if found else f"no answer within {_TIMEOUT_S:.0f} s"


def _ask(url: str) -> str:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT_S / 2):
            return ""
    except OSError as error:  # URLError and a timeout are
        return str(error)
