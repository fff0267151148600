"""What Classify and Regress ask of a signature, and how its outputs become their results.

Checks, codes and texts are those of TensorFlow Serving. Like its server by default, this one does not look at the
`method_name` of a signature: TensorFlow 2 writes "predict" for every one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import InvalidInputError
from serving.protocol.codec import DType
from serving.protocol.signature import Signature

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2

__all__ = ["CLASSIFY", "INPUTS", "METHODS", "REGRESS", "Method"]

INPUTS = "inputs"
OUTPUTS = "outputs"
CLASSES = "classes"
SCORES = "scores"

Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """One way to ask by examples.

    Args:
        name: as a MultiInference task names it.
        check: refuses a SignatureDef that does not fit.
        fill: `(signature, num_examples, outputs, result)`; puts checked outputs into an empty result.
        result: the field of `InferenceResult` that holds the result.
    """

    name: str
    check: Callable[[meta_graph_pb2.SignatureDef], None]
    fill: Callable[[Signature, int, Outputs, Any], None]
    result: str


def _check_classify(definition: meta_graph_pb2.SignatureDef) -> None:
    if len(definition.inputs) != 1:
        raise InvalidInputError("Expected one input Tensor.")
    if len(definition.outputs) not in (1, 2):
        raise InvalidInputError(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if INPUTS not in definition.inputs:
        raise InvalidInputError(f"No classification inputs found in SignatureDef: {definition}")
    if CLASSES not in definition.outputs and SCORES not in definition.outputs:
        raise InvalidInputError(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {definition}"
        )


def _check_regress(definition: meta_graph_pb2.SignatureDef) -> None:
    if len(definition.inputs) != 1:
        raise InvalidInputError("Expected one input Tensor.")
    if len(definition.outputs) != 1:
        raise InvalidInputError("Expected one output Tensor.")
    if INPUTS not in definition.inputs:
        raise InvalidInputError(f"No regression inputs found in SignatureDef: {definition}")
    if OUTPUTS not in definition.outputs:
        raise InvalidInputError(f"No regression outputs found in SignatureDef: {definition}")


def _fill_classifications(signature: Signature, num_examples: int, outputs: Outputs, result: Any) -> None:
    for name, dtype in ((CLASSES, "string"), (SCORES, "float")):
        if name in outputs:
            _check_matrix(name, outputs[name].shape, signature.outputs[name].dtype, dtype, num_examples)
    widths = [outputs[name].shape[1] for name in (CLASSES, SCORES) if name in outputs]
    if widths[0] != widths[-1]:
        raise InvalidInputError(f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}")
    labels = outputs[CLASSES].tolist() if CLASSES in outputs else None
    scores = outputs[SCORES].tolist() if SCORES in outputs else None
    for row in range(num_examples):
        add = result.classifications.add().classes.add
        for column in range(widths[0]):
            answered = add()
            if labels is not None:
                answered.label = _text(labels[row][column])
            if scores is not None:
                answered.score = scores[row][column]


def _check_matrix(name: str, shape: tuple[int, ...], given: DType, wanted: str, num_examples: int) -> None:
    if len(shape) != 2:
        raise InvalidInputError(f"Expected Tensor shape: [batch_size num_classes] but got {_shape_text(shape)}")
    if given.name != wanted:
        raise InvalidInputError(f"Expected {name} Tensor of DT_{wanted.upper()}. Got: {_type_text(given)}")
    if shape[0] != num_examples:
        raise InvalidInputError(f"Expected {name} output batch size of {num_examples}. Got: {shape[0]}")


def _fill_regressions(signature: Signature, num_examples: int, outputs: Outputs, result: Any) -> None:
    values, dtype = outputs[OUTPUTS], signature.outputs[OUTPUTS].dtype
    shape = values.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise InvalidInputError(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got " + _shape_text(shape)
        )
    if shape[0] != num_examples:
        raise InvalidInputError(f"Input batch size did not match output batch size: {num_examples} vs. {shape[0]}")
    if dtype.name != "float":
        raise InvalidInputError(f"Expected output Tensor of DT_FLOAT.  Got: {_type_text(dtype)}")
    for value in values.ravel().tolist():
        result.regressions.add(value=value)


def _text(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError:
        raise InvalidInputError(
            f"A label of a class must be UTF-8, as ClassificationResult holds it. Received: {label!r}. Ask by Predict, "
            f"or export the model with other labels."
        ) from None


def _type_text(dtype: DType) -> str:
    return f"DT_{dtype.name.upper()}"


def _shape_text(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


CLASSIFY = Method(
    name="tensorflow/serving/classify",
    check=_check_classify,
    fill=_fill_classifications,
    result="classification_result",
)
REGRESS = Method(
    name="tensorflow/serving/regress",
    check=_check_regress,
    fill=_fill_regressions,
    result="regression_result",
)
METHODS = {method.name: method for method in (CLASSIFY, REGRESS)}
