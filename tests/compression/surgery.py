"""What tests of channel removal and folding share: random weights, masks and inputs, the proof that answers stay."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo import registry
from zoo.compression.base import named_weights
from zoo.compression.channels import ChannelGroup, channel_groups, remove_channels


def randomized(model: Any, seed: int = 0) -> Any:
    """Moves every weight off its initial value: biases and moving statistics too."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(np.asarray(variable) + rng.uniform(0.02, 0.2, variable.shape).astype("float32"))
    return model


def random_inputs(model: Any, rows: int = 3, time: int = 8, seed: int = 1) -> Any:
    """Returns data in the structure of the model's inputs; a mask ends before its sequence in one row."""
    rng = np.random.default_rng(seed)

    def one(tensor):
        shape = (rows, *(time if size is None else size for size in tensor.shape[1:]))
        if tensor.dtype == "bool":
            mask = np.ones(shape, "bool")
            mask[1, time // 2 :] = False
            return mask
        if "int" in tensor.dtype:
            return rng.integers(1, 5, shape).astype("int32")
        return rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(one, model.inputs[0] if isinstance(model, keras.Sequential) else model.input)


def random_keep(groups: list[ChannelGroup], seed: int = 2) -> dict[str, np.ndarray]:
    """Returns masks that keep about half of each group, and never all of it."""
    rng = np.random.default_rng(seed)
    keep = {}
    for group in groups:
        keep[group.name] = rng.permutation(np.arange(group.size) < max(1, group.size // 2))
    return keep


def zero_readers(model: Any, groups: list[ChannelGroup], keep: dict[str, np.ndarray]) -> None:
    """Sets to zero what reads the channels that are not kept, and nothing else."""
    weights = named_weights(model)
    for group in groups:
        for part in group.slices:
            if part.side == "consumes":
                value = np.moveaxis(np.asarray(weights[part.path]).copy(), part.axis, 0)
                value[part.indices[~keep[group.name]].ravel()] = 0
                weights[part.path].assign(np.moveaxis(value, 0, part.axis))


def assert_same_answers(model: Any, other: Any, tolerance: float = 1e-5) -> None:
    """Compares two models on random inputs, relative to the largest number that they answer."""
    data = random_inputs(model)
    before, after = model(data), other(data)
    keras.tree.assert_same_structure(before, after)
    for a, b in zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        real = np.abs(a) < 1e8  # a blank's -1e9 would hide the rest
        scale = max(1.0, float(np.abs(a[real]).max()))
        np.testing.assert_allclose(b / scale, a / scale, atol=tolerance)


def assert_same_names(model: Any, other: Any) -> None:
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert other.name == model.name
    if not isinstance(model, keras.Sequential):
        assert [tensor.name for tensor in other.inputs] == [tensor.name for tensor in model.inputs]
        assert other.output_names == model.output_names


def halved(model: Any, tmp_path: Any = None) -> Any:
    """Removes about half of the channels of a model, proves that nothing else changed, and returns what is left."""
    randomized(model)
    groups = channel_groups(model)
    keep = random_keep(groups)
    zero_readers(model, groups, keep)
    small = remove_channels(model, keep)
    assert_same_answers(model, small)
    assert_same_names(model, small)
    left = {group.name: group.size for group in channel_groups(small)}
    assert sorted(left.values()) == sorted(int(mask.sum()) for mask in keep.values())
    if any(not mask.all() for mask in keep.values()):
        assert small.count_params() < model.count_params()
    if tmp_path is not None:
        path = tmp_path / "small.keras"
        small.save(path)
        assert_same_answers(small, keras.models.load_model(path, registry.custom_objects()))
    return small
