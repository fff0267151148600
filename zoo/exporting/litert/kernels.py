"""Layers in operations that LiteRT has, put in their place while a model is traced for it.

Shape glossary: `B` batch, `T` time, `D` width of a frame, `U` units.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.layers.quantization import ActivationQuantizer

__all__ = ["lite_kernels"]


@contextlib.contextmanager
def lite_kernels(model: keras.Model, *, fake_quantized: bool) -> Iterator[None]:
    """Within, recurrent layers of `model` run loops that LiteRT takes, and activations are rounded as it can.

    Keras gathers the outputs of a recurrent layer in a list of tensors, which converts for a batch of 1 only. Ours are
    rows of one tensor: any batch, any length, any mask; weights and answers are Keras's.

    Args:
        model: built; as it was when the context ends.
        fake_quantized: leave the rounding of activations to the converter, which then takes over its ranges; else
            compute it in float32.
    """
    changed = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and hasattr(layer.cell, "output_size") and not layer.stateful:
            changed.append((layer, "inner_loop", types.MethodType(_inner_loop, layer)))
        elif isinstance(layer, ActivationQuantizer):
            ends = _range(layer)  # numbers, before they are symbols of a graph
            changed.append((layer, "call", partial(_marked if fake_quantized else _rounded, ends)))
    for layer, method, function in changed:
        vars(layer)[method] = function  # past Keras's own bookkeeping of attributes: this is none
    try:
        yield
    finally:
        for layer, method, _ in changed:
            del vars(layer)[method]


def _inner_loop(layer: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
    """Takes [B, T, D], states [B, U], a mask bool [B, T] or `None`; returns last output, outputs and states."""
    mask = mask[0] if isinstance(mask, list | tuple) else mask
    frames: Any = tf.convert_to_tensor(sequences)
    if layer.go_backwards:
        frames, mask = tf.reverse(frames, [1]), None if mask is None else tf.reverse(mask, [1])
    by_time = tf.transpose(frames, [1, 0, 2])
    kept = None if mask is None else tf.expand_dims(tf.transpose(mask, [1, 0]), -1)  # [T, B, 1]
    time, batch, width = tf.shape(by_time)[0], tf.shape(by_time)[1], layer.cell.output_size
    states = tf.nest.flatten(initial_state)
    blank = tf.zeros([batch, width], frames.dtype)
    gathered = [tf.zeros(tf.stack([time, batch, width]), frames.dtype)] if layer.return_sequences else []

    def step(index: Any, last: Any, states: Any, gathered: Any) -> Any:
        output, new = layer.cell(tf.gather(by_time, index), tf.nest.pack_sequence_as(initial_state, states))
        new = tf.nest.flatten(new)
        if kept is not None:
            is_data = tf.gather(kept, index)
            output = tf.where(is_data, output, blank if layer.zero_output_for_mask else last)
            new = [tf.where(is_data, after, before) for after, before in zip(new, states, strict=True)]
        rows = [tf.tensor_scatter_nd_update(all_rows, [[index]], tf.expand_dims(output, 0)) for all_rows in gathered]
        return index + 1, output, new, rows

    any_batch = tf.TensorShape([None, width])
    _, last, states, gathered = tf.while_loop(
        lambda index, *_: index < time,
        step,
        (tf.constant(0), blank, states, gathered),
        shape_invariants=(
            tf.TensorShape([]),
            any_batch,
            [tf.TensorShape([None, *state.shape[1:]]) for state in states],
            [tf.TensorShape([None, None, width]) for _ in gathered],
        ),
    )
    outputs = tf.transpose(gathered[0], [1, 0, 2]) if gathered else tf.expand_dims(last, 1)
    return last, outputs, tf.nest.pack_sequence_as(initial_state, states)


def _range(layer: Any) -> tuple[float, float] | None:
    """Returns the ends of a quantiser's range, or None before any training."""
    low, high = float(layer.low.numpy()), float(layer.high.numpy())
    return (low, high) if high > low else None


def _marked(ends: tuple[float, float] | None, inputs: Any, training: bool = False) -> Any:
    """Returns the rounded tensor by the operation that a converter reads ranges from."""
    return inputs if ends is None else tf.quantization.fake_quant_with_min_max_args(inputs, *ends, num_bits=8)


def _rounded(ends: tuple[float, float] | None, inputs: Any, training: bool = False) -> Any:
    """Returns the rounded tensor by plain arithmetic: without 8 bits to go to, a converter drops the operation."""
    if ends is None:
        return inputs
    low, high = (np.float32(end) for end in ends)
    scale = (high - low) / np.float32(255)
    zero = np.float32(np.floor(np.clip(-low / scale, 0, 255) + np.float32(0.5)))
    lowest, highest = -zero * scale, (np.float32(255) - zero) * scale
    steps = tf.floor((tf.clip_by_value(inputs, lowest, highest) - lowest) * (np.float32(1) / scale) + 0.5)
    return steps * scale + lowest
