"""Weights and activations of 8 bits, their ranges measured on real examples; runs in the worker's process.

What is left in float32, since 8 bits would ruin it: features and task around the model; the activations in the loops of
recurrent layers, where a state would be rounded at each frame; products of two activations and the softmax (attention);
quotients, since 8 bits make a zero of a small divisor; and whatever touches a tensor with values beyond 1e4, such as
the -1e9 that a mask stands for: 256 steps over such a range leave nothing of the others. So does what touches an
activation that is always 0, whose empty range LiteRT's kernels refuse.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["WEIGHTS_ONLY", "int8_models"]

WEIGHTS_ONLY = "-weights"
_WIDEST, _NARROWEST = 1e4, 1e-6
_FEWEST = 1024  # values of a weight from which on 8 bits pay, as the converter has it
_MIXED_VERSION = 3  # of FULLY_CONNECTED, from which on it takes activations of 32 bits and weights of 8
_ALWAYS_FLOAT = ("BATCH_MATMUL", "DIV", "SOFTMAX")
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def int8_models(converter: Any, calibration: Mapping[str, np.ndarray], around: Collection[str]) -> dict[str, bytes]:
    """Returns two models by the suffix of their names: the second has 8 bits only where an operation has weights.

    The second is for models whose sums and normalisations do not bear 8 bits.

    Args:
        converter: of TensorFlow, made for a SavedModel.
        calibration: real inputs by name, rows first.
        around: operations of the graph that stay in float32.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    def rows() -> Iterator[dict[str, np.ndarray]]:
        for row in range(len(next(iter(calibration.values())))):
            yield {name: array[row : row + 1] for name, array in calibration.items()}

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    models = {}
    for suffix, weights_only in (("", False), (WEIGHTS_ONLY, True)):
        kept = sorted(_kept_in_float(calibrated, frozenset(around), weights_only))
        quantized: Any = mlir_quantize(calibrated, denylisted_nodes=kept)
        models[suffix] = _weights_of_loops(quantized)
    return models


def _weights_of_loops(content: bytes) -> bytes:
    """Returns a model whose loops multiply by weights of 8 bits, as the precision `dynamic` has them."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for graph in model.subgraphs[1:]:
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            weights = graph.tensors[op.inputs[1]]
            data = model.buffers[weights.buffer].data
            if weights.type != schema.TensorType.FLOAT32 or data is None or len(data) < 4 * _FEWEST:
                continue
            values = np.frombuffer(bytes(data), np.float32)
            scale = max(float(np.abs(values).max()), 1e-30) / 127
            scales: Any = schema.QuantizationParametersT()
            scales.scale, scales.zeroPoint = [scale], [0]
            weights.quantization = scales
            weights.type = schema.TensorType.INT8
            weights.buffer = len(model.buffers)  # the old one, if nothing else uses it, is emptied below
            buffer: Any = schema.BufferT()
            buffer.data = np.round(values / scale).astype(np.int8).view(np.uint8)
            model.buffers.append(buffer)
            code.version = max(code.version, _MIXED_VERSION)
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            buffer.data = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _kept_in_float(calibrated: bytes, around: frozenset[str], weights_only: bool) -> set[str]:
    """Returns the names of the tensors that must be made in float32."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(calibrated))
    kinds = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    codes = [kinds[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    kept: set[str] = set()
    for number, graph in enumerate(model.subgraphs):
        for op in graph.operators:
            kind, names = codes[op.opcodeIndex], [graph.tensors[index].name.decode() for index in op.outputs]
            touched = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
            if (
                number > 0  # the body of a loop
                or kind in _ALWAYS_FLOAT
                or (weights_only and kind not in _WITH_WEIGHTS)
                or any(_is_around(name, around) for name in names)
                or any(_is_ruinous(tensor, model.buffers) for tensor in touched)
            ):
                kept.update(names)
    return kept


def _is_around(name: str, around: frozenset[str]) -> bool:
    """Says whether a tensor of LiteRT, which may bear several operations' names and a number, is of `around`."""
    parts = [part.strip() for part in name.split(";")]
    return all(part in around or re.sub(r"\d+$", "", part) in around for part in parts if part)


def _is_ruinous(tensor: Any, buffers: Any) -> bool:
    """Says whether 256 steps over a tensor's range leave nothing of its values, or the range is empty."""
    seen = tensor.quantization
    if seen is not None and seen.max is not None and len(seen.max):  # of an activation, by calibration
        return not _NARROWEST <= max(abs(seen.min[0]), abs(seen.max[0])) <= _WIDEST
    data = buffers[tensor.buffer].data
    if tensor.type != 0 or data is None or not len(data):
        return False
    return bool(np.abs(np.frombuffer(bytes(data), np.float32)).max() > _WIDEST)
