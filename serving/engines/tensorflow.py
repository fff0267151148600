"""One loaded model version: arrays in, arrays out.

The engine is TensorFlow's session, loaded from the SavedModel's graph and SignatureDefs as TensorFlow Serving does it;
no Python object graph is rebuilt, and closing the session frees the weights. A session callable that runs its
operations in the calling thread took 170 us for a 92k-parameter CNN where `StatefulPartitionedCall` with captured
inputs took 378 and the signature call 739 (batch 1, one thread, TensorFlow 2.21).
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from serving.engines.abstract import AbstractPredictor
from serving.engines.example_inputs import Parsed, check_examples, find_parsed
from serving.errors import InvalidInputError, ModelLoadError, RequestError, error_for
from serving.protocol.codec import CodecError, dtype_of_number
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["TensorFlowPredictor", "is_passing", "set_threads"]

logger = logging.getLogger("serving")

SERVE_TAG = "serve"
_CALLING_THREAD = -1
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclasses.dataclass(frozen=True, slots=True)
class _Call:
    signature: Signature
    run: Callable[..., list[Any]]
    parsed: Mapping[int, frozenset[Any]]  # by position, the messages that a string input must hold


class TensorFlowPredictor(AbstractPredictor):
    """A SavedModel in a session of its own.

    Args:
        path: the version directory.

    Raises:
        ModelLoadError: the directory holds no SavedModel that this TensorFlow can load.
        Exception: another one, for which `is_passing` holds: not the files are to blame.
    """

    def __init__(self, path: pathlib.Path):
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=_session_config())
        try:
            meta_graph = _load(self._session, path)
            self._signature_defs = dict(meta_graph.signature_def)
            parsed = _find_parsed(path, meta_graph)
            self._calls = {
                key: call
                for key, definition in self._signature_defs.items()
                if (call := _make_call(self._session, key, definition, parsed)) is not None
            }
        except Exception as error:
            self._session.close()
            if isinstance(error, ModelLoadError) or is_passing(error):
                raise
            raise ModelLoadError(f"{path.name}: cannot be loaded: {_first_lines(error)}") from error
        self._signatures = {key: call.signature for key, call in self._calls.items()}
        _warn_of_unknown_ranks(path, self._signatures)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures that can be called, by key."""
        return self._signatures

    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The SavedModel's own SignatureDefs."""
        return self._signature_defs

    def run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """All outputs of signature `key`."""
        call = self._calls[key]
        for position, kinds in call.parsed.items():
            check_examples(list(call.signature.inputs)[position], inputs[position], kinds)
        try:
            outputs = call.run(*inputs)
        except tf.errors.OpError as error:
            raise _request_error(error) from error
        except UnicodeDecodeError as error:  # of TensorFlow's message, which quotes bytes of the request
            raise InvalidInputError(_first_lines(ValueError(error.object.decode(errors="replace")))) from error
        return dict(zip(call.signature.outputs, map(_array, outputs), strict=True))

    def close(self) -> None:
        """Close the session: its variables and tables are freed."""
        self._session.close()


def is_passing(error: Exception) -> bool:
    """Whether a load failed for want of something (memory, open files, the disk), not for its files."""
    if isinstance(error, OSError):
        return error.errno is not None  # TensorFlow's own for a file that it cannot parse has none
    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError, tf.errors.UnavailableError))


def set_threads(*, intra_op: int, inter_op: int) -> None:
    """Size TensorFlow's thread pools; must come before its first operation.

    With the defaults a batch of 1 takes two to three times as long. A call runs in the thread that makes it, so
    parallelism comes from the number of calls.
    """
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)


def _session_config() -> config_pb2.ConfigProto:
    return config_pb2.ConfigProto(
        intra_op_parallelism_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_parallelism_threads=tf.config.threading.get_inter_op_parallelism_threads(),
        allow_soft_placement=True,
    )


def _load(session: tf.compat.v1.Session, path: pathlib.Path) -> meta_graph_pb2.MetaGraphDef:
    verbosity = logging.getLogger("tensorflow").level
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each load would log that the loader is deprecated
    try:
        with session.graph.as_default():
            return tf.compat.v1.saved_model.load(session, [SERVE_TAG], str(path))
    finally:
        logging.getLogger("tensorflow").setLevel(verbosity)


def _find_parsed(path: pathlib.Path, meta_graph: Any) -> Parsed:
    fed = [info.name for definition in meta_graph.signature_def.values() for info in definition.inputs.values()]
    parsed = find_parsed(meta_graph, filter(None, fed))
    if parsed.unknown:
        logger.warning(
            "event=examples_unchecked path=%s ops=%s reason=these stand before a parser of tf.Example, so a request's "
            "bytes are not checked before it, and crafted ones can end this process; take requests from friends only",
            path,
            ",".join(sorted(parsed.unknown)),
        )
    return parsed


def _make_call(session: Any, key: str, definition: meta_graph_pb2.SignatureDef, parsed: Parsed) -> _Call | None:
    """A callable for one SignatureDef; none for the initialisation or for sparse and ragged tensors."""
    if key.startswith("__saved_model"):
        return None
    inputs, outputs = sorted(definition.inputs), sorted(definition.outputs)
    try:
        signature = Signature(
            key=key,
            inputs={name: _spec(name, definition.inputs[name]) for name in inputs},
            outputs={name: _spec(name, definition.outputs[name]) for name in outputs},
        )
    except CodecError:
        return None
    options = config_pb2.CallableOptions(
        feed=[definition.inputs[name].name for name in inputs],
        fetch=[definition.outputs[name].name for name in outputs],
        run_options=config_pb2.RunOptions(inter_op_thread_pool=_CALLING_THREAD),
    )
    kinds = {
        position: parsed.inputs[tensor]
        for position, tensor in enumerate(options.feed)
        if tensor in parsed.inputs and signature.inputs[inputs[position]].dtype.is_string
    }
    return _Call(signature, session._make_callable_from_options(options), kinds)


def _spec(name: str, info: meta_graph_pb2.TensorInfo) -> TensorSpec:
    if info.WhichOneof("encoding") != "name":
        raise CodecError(f"`{name}` is no dense tensor.")
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(name=name, dtype=dtype_of_number(info.dtype), shape=shape)


def _warn_of_unknown_ranks(path: pathlib.Path, signatures: Mapping[str, Signature]) -> None:
    for key, signature in signatures.items():
        if unknown := ",".join(name for name, spec in signature.inputs.items() if spec.shape is None):
            logger.warning(
                "event=rank_unknown path=%s signature=%s inputs=%s reason=a request of a rank that the graph does not "
                "expect can end this process; export the model with the rank of every input",
                path,
                key,
                unknown,
            )


def _array(output: Any) -> np.ndarray:
    # A scalar string comes as `bytes`, whose trailing NULs numpy's own string dtype would drop.
    return np.array(output, object) if isinstance(output, bytes) else np.asarray(output)


def _request_error(error: tf.errors.OpError) -> RequestError:
    return error_for(_CODES.get(error.error_code, grpc.StatusCode.INTERNAL), _first_lines(error))


def _first_lines(error: Exception) -> str:
    """TensorFlow's own message, without the stack of the graph's construction."""
    text = str(getattr(error, "message", None) or error)
    for mark in ("\n\t [[", "\n\nOriginal stack", "\nStack trace", "\n\nDetected at"):
        text = text.partition(mark)[0]
    return text.strip() or type(error).__name__
