"""One loaded `model.tflite`: arrays in, arrays out, by LiteRT's interpreters, each in the thread that calls it.

Measured for a CNN of 92k parameters in int8, one thread, batch 1: 14 us a call, 11 of them the computation's, where
TensorFlow's session takes 170 on the SavedModel. LiteRT lets go of Python's lock while it computes: on 2 processors two
threads answer 1.95 times the rows of one at a batch of 32, and 1.8 times at a batch of 1.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from serving.engines.abstract import AbstractPredictor
from serving.engines.litert_file import FileFacts, read_facts
from serving.engines.litert_pool import InterpreterPool, Worker
from serving.engines.litert_runtime import has_package, new_interpreter
from serving.engines.litert_signatures import LiteCall, make_calls
from serving.errors import InvalidInputError, ModelLoadError
from serving.protocol.signature import Signature

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2

__all__ = ["FILE", "LiteRTPredictor", "is_passing"]

FILE = "model.tflite"
TRIAL_TIMEOUT_S = 120.0  # TensorFlow's import alone can take 20 s on a machine under load
_FLEX = "Flex"
_UNRESOLVED = "unresolved custom op"


class LiteRTPredictor(AbstractPredictor):
    """A `model.tflite` and a pool of interpreters on its bytes, which are read once.

    LiteRT verifies a file's structure and not the sense of what stands in it: of the 19,872 files that differ from a
    sound one of 2 KB by one bit, 3 ended and 51 hung the process that loaded them. A file that nobody vouches for is
    therefore tried in a process of its own first, which takes as long as importing LiteRT does.

    Args:
        path: the version directory.
        verified: the file is what was exported, by its checksum: it is not tried first.
        num_interpreters: how many calls may run at once; by default one for each processor.

    Raises:
        ModelLoadError: there is no file, or LiteRT cannot serve it; the text says why.
        Exception: another one, for which `is_passing` holds: not the file is to blame.
    """

    def __init__(self, path: pathlib.Path, *, verified: bool = False, num_interpreters: int | None = None):
        self._content = _read(path)
        if not verified:
            _try_elsewhere(path)
        try:
            interpreter = new_interpreter(self._content)
            self._facts = read_facts(self._content)
            _refuse_flex(path, self._facts)
            self._calls = make_calls(interpreter, self._facts, file=str(path / FILE))
            _refuse_windows(path, self._facts, self._calls)
            first = [interpreter] if _allocate(interpreter, self._calls) else []
        except (ValueError, RuntimeError) as error:
            raise _load_error(path, error, self._content) from error
        self._pool = InterpreterPool(
            lambda: self._worker(first.pop() if first else new_interpreter(self._content)),
            limit=num_interpreters or os.cpu_count() or 1,
        )
        self._signatures = {key: call.signature for key, call in self._calls.items()}
        self._signature_defs: Mapping[str, meta_graph_pb2.SignatureDef] | None = None

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures that can be called, by key."""
        return self._signatures

    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The SignatureDefs that stand in the file for TensorFlow Serving, or such as say the same of its signatures.

        This imports TensorFlow, whose messages they are.
        """
        if self._signature_defs is None:
            from tensorflow.core.protobuf import meta_graph_pb2

            self._signature_defs = {
                key: meta_graph_pb2.SignatureDef.FromString(call.definition.SerializeToString())
                for key, call in self._calls.items()
            }
        return self._signature_defs

    def run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """All outputs of signature `key`; waits while as many calls run as there may be interpreters."""
        call = self._calls[key]
        if not all(array.size for array in inputs):  # some of LiteRT's kernels end the process on one
            empty = next(name for name, array in zip(call.signature.inputs, inputs, strict=True) if not array.size)
            raise InvalidInputError(f"Input `{empty}` is empty, which LiteRT cannot take. Send at least one element.")
        return self._pool.run(call, inputs)

    def close(self) -> None:
        """Free the interpreters and the file's bytes."""
        self._pool.close()
        self._content = b""

    def _worker(self, interpreter: object) -> Worker:
        return Worker(interpreter, keeps_state=self._facts.keeps_state)


def is_passing(error: Exception) -> bool:
    """Whether a load failed for want of something (memory, open files, the disk), not for its file."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


def _read(path: pathlib.Path) -> bytes:
    try:
        return (path / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ModelLoadError(f"{path.name}: no {FILE} in {path}; is the copy complete?") from error


def _refuse_flex(path: pathlib.Path, facts: FileFacts) -> None:
    # TensorFlow's LiteRT would run them: operations that touch files, too, which no scan of ours has seen.
    if names := [name for name in facts.custom_ops if name.startswith(_FLEX)]:
        raise ModelLoadError(
            f"{path.name}: {FILE} holds operations of TensorFlow that LiteRT alone does not have: {', '.join(names)}. "
            f"Convert without SELECT_TF_OPS, or serve the SavedModel.",
            grpc.StatusCode.UNIMPLEMENTED,
        )


def _refuse_windows(path: pathlib.Path, facts: FileFacts, calls: Mapping[str, LiteCall]) -> None:
    # A request could end the process: see `litert_runtime`.
    inputs = (spec for call in calls.values() for spec in call.signature.inputs.values())
    if facts.has_windows and not has_package() and any(None in (spec.shape or ())[1:] for spec in inputs):
        raise ModelLoadError(
            f"{path.name}: {FILE} holds convolutions over inputs of any size, and the LiteRT inside TensorFlow ends "
            f"the process when a request is smaller than their window. Install `ai-edge-litert`, whose LiteRT refuses "
            f"such a request, or serve the SavedModel.",
            grpc.StatusCode.FAILED_PRECONDITION,
        )


def _allocate(interpreter: Any, calls: Mapping[str, LiteCall]) -> bool:
    """Whether every graph fits together at the sizes that stand in the file, which are 1 where any will do.

    Not so, of a sequence for one, where windows are cut from it that are longer: no fault, and the requests' sizes
    are others. Raises where only the number of rows is open, or none, or where an operation is missing.
    """
    for call in calls.values():
        try:
            interpreter._interpreter.AllocateTensors(call.subgraph)
        except (ValueError, RuntimeError) as error:
            is_open = any(None in (spec.shape or ())[1:] for spec in call.signature.inputs.values())
            if _UNRESOLVED in str(error) or not is_open:
                raise
            return False
    return True


def _load_error(path: pathlib.Path, error: Exception, content: bytes) -> ModelLoadError:
    if _UNRESOLVED in str(error):
        names = ", ".join(read_facts(content).custom_ops)
        return ModelLoadError(
            f"{path.name}: {FILE} holds operations that LiteRT does not have: {names}. Convert without custom "
            f"operations, or serve the SavedModel.",
            grpc.StatusCode.UNIMPLEMENTED,
        )
    return ModelLoadError(f"{path.name}: {FILE} cannot be loaded: {error}")


def _try_elsewhere(path: pathlib.Path) -> None:
    """Load and run the file in a process of its own; an error that is no crash will come again, and be told, here."""
    command = [sys.executable, "-m", "serving.engines.litert_trial", str(path)]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelLoadError(
            f"{path.name}: {FILE} did not load and answer within {TRIAL_TIMEOUT_S:.0f} s in a process of its own; it "
            f"is damaged, or too large for this machine. A version with the zoo's manifest is not tried."
        ) from None
    if ended.returncode == -signal.SIGKILL:
        raise MemoryError(f"{path.name}: the process that tried {FILE} was killed, as for want of memory.")
    if ended.returncode < 0:
        raise ModelLoadError(
            f"{path.name}: {FILE} is damaged: the process that tried it ended by "
            f"{signal.Signals(-ended.returncode).name}. Copy or convert it again."
        )
