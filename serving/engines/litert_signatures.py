"""The signatures of a `model.tflite`: what can be called, and what `GetModelMetadata` shows.

Names come from the metadata that TensorFlow Serving reads, where the file holds it; else from the signatures that
LiteRT's converter wrote; else, as TensorFlow Serving does it, from the tensors themselves. In the second case that
server would show other names than ours, which is logged with both.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from serving.engines.litert_file import FileFacts
from serving.protocol.codec import CodecError, dtype_of
from serving.protocol.messages import SignatureDefMap
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["LiteCall", "make_calls"]

logger = logging.getLogger("serving")

DEFAULT_KEY = "serving_default"
PREDICT = "tensorflow/serving/predict"
_MAIN = 0


@dataclasses.dataclass(frozen=True, slots=True)
class LiteCall:
    """One signature and where its tensors are.

    Args:
        signature: what it takes and gives.
        definition: its `SignatureDef`, in this package's own message class.
        subgraph: the graph that it runs.
        inputs: tensor numbers in the order of `signature.inputs`.
        outputs: names and tensor numbers.
    """

    signature: Signature
    definition: Any
    subgraph: int
    inputs: tuple[int, ...]
    outputs: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    definition: Any = None


def make_calls(interpreter: Any, facts: FileFacts, *, file: str) -> dict[str, LiteCall]:
    """Every signature of a file by key; one with a tensor that has no form on the wire is left out.

    Args:
        interpreter: of the file.
        facts: of the file.
        file: its name for the log.

    Raises:
        ValueError: the metadata names a tensor that the graph does not have, or no signature can be called.
    """
    native = interpreter._interpreter
    calls: dict[str, LiteCall] = {}
    problems = []
    for key, plan in _plans(native, facts, file).items():
        try:
            calls[key] = _call(native, key, plan)
        except CodecError as error:
            problems.append(f"`{key}`: {error}")
    if not calls:
        raise ValueError(f"no signature of it can be called ({'; '.join(problems) or 'it has none'})")
    return calls


def _plans(native: Any, facts: FileFacts, file: str) -> dict[str, _Plan]:
    inputs = {native.TensorName(int(index), _MAIN): int(index) for index in native.InputIndices()}
    outputs = {native.TensorName(int(index), _MAIN): int(index) for index in native.OutputIndices()}
    if facts.signature_defs:
        return _from_metadata(facts.signature_defs, inputs, outputs)
    plan = _Plan(_MAIN, _by_short_name(inputs), _by_short_name(outputs))
    written = native.GetSignatureDefs()
    if not written:
        return {DEFAULT_KEY: plan}
    plans = {
        key: _Plan(native.GetSubgraphIndexFromSignature(key), names["inputs"], names["outputs"])
        for key, names in written.items()
    }
    _warn_of_other_names(file, plans, plan)
    return plans


def _short(name: str) -> str:
    return name.partition(":")[0]


def _by_short_name(tensors: Mapping[str, int]) -> dict[str, int]:
    """Tensors without the `:0` of their names, as TensorFlow Serving shows them, where that leaves them apart."""
    count = collections.Counter(map(_short, tensors))
    return {_short(name) if count[_short(name)] == 1 else name: index for name, index in tensors.items()}


def _from_metadata(
    serialised: Mapping[str, bytes], inputs: Mapping[str, int], outputs: Mapping[str, int]
) -> dict[str, _Plan]:
    message = SignatureDefMap()
    for key, content in serialised.items():
        try:
            message.signature_def[key].ParseFromString(content)
        except DecodeError as error:
            raise ValueError(f"the SignatureDef `{key}` in its metadata cannot be parsed") from error
    return {
        key: _Plan(_MAIN, _found(key, definition.inputs, inputs), _found(key, definition.outputs, outputs), definition)
        for key, definition in message.signature_def.items()
    }


def _found(key: str, infos: Mapping[str, Any], tensors: Mapping[str, int]) -> dict[str, int]:
    """The tensors that a SignatureDef names, in full or, as files of old converters have them, without the `:0`."""
    found = {}
    for name, info in infos.items():
        tensor = info.name if info.name in tensors else _short(info.name)
        if tensor not in tensors:
            raise ValueError(
                f"the SignatureDef `{key}` in its metadata gives `{name}` the tensor `{info.name}`; the graph has "
                f"{', '.join(tensors)}"
            )
        found[name] = tensors[tensor]
    return found


def _warn_of_other_names(file: str, plans: Mapping[str, _Plan], theirs: _Plan) -> None:
    ours = plans.get(DEFAULT_KEY)
    if ours is not None and (ours.inputs, ours.outputs) == (theirs.inputs, theirs.outputs):
        return
    logger.warning(
        "event=names_differ file=%s signatures=%s reason=the file has no metadata for TensorFlow Serving, which would "
        "show the one signature %s from the names of its tensors: %s to %s; export with the zoo, or add the metadata",
        file,
        ",".join(plans),
        DEFAULT_KEY,
        ",".join(theirs.inputs),
        ",".join(theirs.outputs),
    )


def _call(native: Any, key: str, plan: _Plan) -> LiteCall:
    signature = Signature(
        key=key,
        inputs={name: _spec(native, name, plan.inputs[name], plan.subgraph) for name in sorted(plan.inputs)},
        outputs={name: _spec(native, name, plan.outputs[name], plan.subgraph) for name in sorted(plan.outputs)},
    )
    return LiteCall(
        signature=signature,
        definition=_definition(native, signature, plan) if plan.definition is None else plan.definition,
        subgraph=plan.subgraph,
        inputs=tuple(plan.inputs[name] for name in signature.inputs),
        outputs=tuple((name, plan.outputs[name]) for name in signature.outputs),
    )


def _spec(native: Any, name: str, index: int, subgraph: int) -> TensorSpec:
    dtype = native.TensorType(index, subgraph)
    if not dtype:
        raise CodecError(f"`{name}` is of a type that LiteRT's interpreter does not pass on")
    shape = native.TensorSizeSignature(index, subgraph).tolist()
    return TensorSpec(
        name=name,
        dtype=dtype_of(np.empty(0, dtype)),
        shape=tuple(None if size < 0 else size for size in shape),
    )


def _definition(native: Any, signature: Signature, plan: _Plan) -> Any:
    definition = SignatureDefMap().signature_def[signature.key]
    definition.method_name = PREDICT
    for shown, specs, indices in (
        (definition.inputs, signature.inputs, plan.inputs),
        (definition.outputs, signature.outputs, plan.outputs),
    ):
        for name, spec in specs.items():
            info = shown[name]
            info.name = native.TensorName(indices[name], plan.subgraph)
            info.dtype = spec.dtype.number
            info.tensor_shape.SetInParent()  # a scalar's shape is known, too
            for size in spec.shape or ():
                info.tensor_shape.dim.add(size=-1 if size is None else size)
    return definition
