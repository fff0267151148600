# pyright: reportAttributeAccessIssue=false
"""Files of LiteRT for the tests: converted from small SavedModels, and changed by their flatbuffer's own objects."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils


class Module(tf.Module):
    """Signatures of several kinds."""

    def __init__(self):
        super().__init__()
        self.table = tf.constant(np.arange(12).reshape(4, 3), tf.float32)
        self.wide = tf.constant(np.random.default_rng(0).normal(size=(1024, 1024)), tf.float32)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32, name="tokens"),
            tf.TensorSpec([None, None], tf.bool, name="padding_mask"),
        ]
    )
    def embed(self, tokens, padding_mask):
        kept = tf.cast(tf.expand_dims(padding_mask, -1), tf.float32)
        return {"total": tf.reduce_sum(tf.gather(self.table, tokens) * kept, 1)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], dtype, name=name)
            for name, dtype in {
                "b": tf.bool,
                "f16": tf.float16,
                "f64": tf.float64,
                "i64": tf.int64,
                "s": tf.string,
                "u8": tf.uint8,
            }.items()
        ]
    )
    def types(self, b, f16, f64, i64, s, u8):
        given = {"b": b, "f16": f16, "f64": f64, "i64": i64, "s": s, "u8": u8}
        return {f"{name}_out": tf.expand_dims(tensor, 0) for name, tensor in given.items()}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="text")])
    def echo(self, text):
        return {"row": tf.expand_dims(text, 0), "scalar": tf.reshape(tf.expand_dims(text, 0), [])}

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32, name="frames")])
    def windows(self, frames):
        return {"features": tf.nn.conv1d(frames, tf.ones([5, 3, 2]), 1, "VALID")}

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32, name="frames")])
    def padded(self, frames):
        point = tf.nn.conv1d(frames, tf.ones([1, 3, 3]), 1, "VALID")
        return {"features": tf.nn.conv1d(point, tf.ones([5, 3, 2]), 1, "SAME")}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
    def triples(self, x):
        return {"triples": tf.reshape(x, [-1, 3])}

    @tf.function(input_signature=[tf.TensorSpec([None, 1024], tf.float32, name="x")])
    def dense(self, x):
        return {"y": x @ self.wide}


def write_images(path: pathlib.Path) -> None:
    """A tiny Keras model as a SavedModel, and the same weights as `model.tflite` beside it."""
    import keras

    keras.utils.set_random_seed(0)
    model: Any = keras.Sequential(
        [
            keras.Input((12, 12, 1), name="image"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", name="probabilities"),
        ]
    )
    model.export(str(path), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path), signature_keys=["serving_default"])
    (path / "model.tflite").write_bytes(converter.convert())


def write_signatures(directory: pathlib.Path) -> None:
    """Version directories `two`, `types`, `padded` and `windows`, each with a `model.tflite` alone."""
    module = Module()
    saved = directory / "module"
    functions = {
        name: getattr(module, name) for name in ("embed", "dense", "types", "echo", "padded", "triples", "windows")
    }
    tf.saved_model.save(module, str(saved), signatures=functions)
    for name, keys in (
        ("two", ["embed", "dense"]),
        ("types", ["types", "echo", "triples"]),
        ("padded", ["padded"]),
        ("windows", ["windows"]),
    ):
        (directory / name).mkdir()
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=keys)
        (directory / name / "model.tflite").write_bytes(converter.convert())


def changed(path: pathlib.Path, to: pathlib.Path, change: Callable[[Any], None]) -> pathlib.Path:
    """Write the file of version directory `path`, changed, into a new version directory `to`."""
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray((path / "model.tflite").read_bytes()))
    change(model)
    to.mkdir()
    (to / "model.tflite").write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return to


def add_metadata(model: Any, content: bytes) -> None:
    """Write what TensorFlow Serving reads of a file."""
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "signature_defs_metadata", len(model.buffers)
    buffer.data = list(content)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]


def flexbuffer(entries: Mapping[str, bytes]) -> bytes:
    """A map of strings that need not be text."""
    from flatbuffers import flexbuffers

    builder: Any = flexbuffers.Builder()
    with builder.Map():
        for key, value in entries.items():
            builder.Key(key)
            builder._WriteBlob(value, append_zero=True, type_=flexbuffers.Type.STRING)
    return bytes(builder.Finish())


def make_custom(name: str) -> Callable[[Any], None]:
    """A change: the pooling becomes an operation that is not LiteRT's own."""

    def change(model: Any) -> None:
        for code in model.operatorCodes:
            if code.builtinCode == schema.BuiltinOperator.MAX_POOL_2D:
                code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
                code.customCode = name

    return change


def drop_signatures(model: Any) -> None:
    """Leave a file as converters wrote it before there were signatures."""
    model.signatureDefs = None


def make_state_unfit(model: Any) -> None:
    """Of `recurrent`, whose sizes are all fixed: no sizes of a request could mend it."""
    model.subgraphs[0].tensors[4].shape = [1, 7]


def make_options_missing(model: Any) -> None:
    """Leave the operations without what says how they go about it."""
    for op in model.subgraphs[0].operators:
        op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.NONE, None


def make_pool_impossible(model: Any) -> None:
    """Give the pooling a height that LiteRT does not check, and that ends the process."""
    options = [op.builtinOptions for op in model.subgraphs[0].operators]
    (pool,) = [one for one in options if isinstance(one, schema.Pool2DOptionsT)]
    pool.filterHeight = -(2**31) + 2


def write_recurrent(path: pathlib.Path) -> None:
    """A fused recurrent layer, `h = relu(x + h)`, whose state stays in the interpreter after a call."""
    weights = [np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)]  # input, recurrent, bias
    tensors = [
        _tensor("x", (1, 2, 1), 0),
        *(_tensor(f"weight{number}", weight.shape, number + 1) for number, weight in enumerate(weights)),
        _tensor("state", (1, 1), 0, variable=True),
        _tensor("y", (1, 2, 1), 0),
    ]
    code, op, options = schema.OperatorCodeT(), schema.OperatorT(), schema.SequenceRNNOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_RNN
    code.version = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.SequenceRNNOptions, options
    op.inputs, op.outputs = [0, 1, 2, 3, 4], [5]
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [op], [0], [5]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [_buffer(b""), *(_buffer(weight.astype(np.float32).tobytes()) for weight in weights)]
    path.mkdir()
    (path / "model.tflite").write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _tensor(name: str, shape: Sequence[int], buffer: int, *, variable: bool = False) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.isVariable = name, list(shape), buffer, variable
    tensor.type = schema.TensorType.FLOAT32
    return tensor


def _buffer(content: bytes) -> Any:
    buffer = schema.BufferT()
    buffer.data = list(content) or None
    return buffer
