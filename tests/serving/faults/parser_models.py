# pyright: reportAttributeAccessIssue=false
"""SavedModels that parse `tf.Example`s of free length, each by another way from the request to the parser.

As a program: `parser_models.py DIRECTORY` asks each of them for bytes that end a process, through the engine, which
refuses them; then the first one without the engine, which is the end.
"""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

VAR: Any = {"x": tf.io.VarLenFeature(tf.float32)}
TEXTS = tf.TensorSpec([None], tf.string, name="inputs")
OTHER = tf.TensorSpec([None], tf.string, name="other")


def field(number: int, body: bytes, claim: int = 0) -> bytes:
    """A length-delimited field, which may claim another length than it has."""
    length, prefix = claim or len(body), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *prefix, length]) + body


def example_of(feature: bytes) -> bytes:
    """An Example with one feature `x`; a SequenceExample whose context has it is the same bytes."""
    return field(1, field(1, field(1, b"x") + field(2, feature)))


def deadly() -> bytes:
    """Floats that claim 2 GB."""
    return example_of(field(2, field(1, b"", 2 << 30)))


def example(*values: float) -> bytes:
    made = tf.train.Example()
    made.features.feature["x"].float_list.value.extend(values)
    return made.SerializeToString()


def _sums(parsed: Any) -> Any:
    return tf.sparse.reduce_sum(parsed["x"], axis=-1)


def _direct(inputs):
    return {"y": _sums(tf.io.parse_example(inputs, VAR))}


def _ragged(inputs):
    features: Any = {"x": tf.io.RaggedFeature(tf.float32)}
    parsed: Any = tf.io.parse_example(tf.reshape(tf.concat([inputs, inputs], 0), [2, -1])[0], features)
    return {"y": tf.reduce_sum(parsed["x"], -1)}


def _padded(inputs):
    features: Any = {"x": tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)}
    parsed: Any = tf.io.parse_example(inputs, features)
    return {"y": tf.reduce_sum(parsed["x"], -1)}


def _each(inputs):
    def one(serialized):
        return tf.reduce_sum(tf.io.parse_single_example(serialized, VAR)["x"].values)

    return {"y": tf.map_fn(one, inputs, fn_output_signature=tf.float32)}


def _branch(inputs):
    parse: Any = tf.function(lambda texts: _sums(tf.io.parse_example(texts, VAR)))
    return {"y": tf.cond(tf.size(inputs) > 99, lambda: tf.zeros(tf.shape(inputs)), lambda: parse(inputs))}


def _pair(inputs, other):
    """One function for both inputs, of which the first alone goes on to the parser."""
    both: Any = tf.function(lambda texts, others: (tf.identity(texts), tf.identity(others)))
    same: Any = tf.function(lambda texts: tf.identity(texts))
    texts, others = both(same(inputs), same(other))
    return {"y": _sums(tf.io.parse_example(texts, VAR)), "lengths": tf.strings.length(others)}


def _sequence(inputs):
    parsed: Any = tf.io.parse_sequence_example(inputs, context_features=VAR)
    return {"y": _sums(parsed[0])}


def _base64(inputs):
    return {"y": _sums(tf.io.parse_example(tf.io.decode_base64(inputs), VAR))}


WAYS: dict[str, Callable[..., Any]] = {
    "direct": _direct,
    "ragged, by a slice": _ragged,
    "padded": _padded,
    "one by one in a loop": _each,
    "function in a branch": _branch,
    "one of two inputs": _pair,
    "sequence": _sequence,
    "base64": _base64,
}


def write(way: str, path: pathlib.Path) -> pathlib.Path:
    specs = [TEXTS, OTHER] if way == "one of two inputs" else [TEXTS]
    module: Any = tf.Module()
    module.serve = tf.function(WAYS[way], input_signature=specs)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


def write_graph(path: pathlib.Path) -> pathlib.Path:
    """As TensorFlow 1 writes it: the parser in the graph itself."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.string, [None], name="tf_example")
        y = _sums(v1.parse_example(inputs, VAR))
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def({"inputs": info(inputs)}, {"y": info(y)}, "predict")
        builder = v1.saved_model.builder.SavedModelBuilder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={"serving_default": signature})
        builder.save()
    return path


def texts(*elements: bytes) -> np.ndarray:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


def main(directory: pathlib.Path) -> None:
    from serving.engines.tensorflow import TensorFlowPredictor
    from serving.errors import InvalidInputError

    for path in sorted(directory.iterdir()):
        predictor = TensorFlowPredictor(path)
        inputs = [texts(example(1.0), deadly()) for _ in predictor.signatures["serving_default"].inputs]
        try:
            print("answered", predictor.run("serving_default", inputs), flush=True)
        except InvalidInputError as error:
            print(f"{path.name}: {error.details!r}", flush=True)
    tf.saved_model.load(str(directory / "direct")).signatures["serving_default"](inputs=tf.constant([deadly()]))
    print("survived", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
