# pyright: reportAttributeAccessIssue=false
"""Requests that no honest client sends: strategies of (method, bytes)."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

MODELS = ("conv", "sequence", "double", "any_rank", "examples", "native", "parsed")
SIGNATURES = ("", "serving_default", "echo", "half", "lengths", "classify", "regress", "scores", "bytes", "sparse", "x")
"""Not `spin`, which takes as long as it is told."""
INPUTS = ("image", "frames", "padding_mask", "x", "text", "texts", "inputs", "\x00")
METHOD_NAMES = ("tensorflow/serving/classify", "tensorflow/serving/regress", "tensorflow/serving/predict", "")
FIELDS = (
    *("half_val", "float_val", "double_val", "int_val", "string_val", "scomplex_val", "int64_val", "bool_val"),
    *("dcomplex_val", "uint32_val", "uint64_val"),
)
ODD_BYTES = (b"\xff", b"\x80", b"\0", b"\x7f", b"\xff\xff\xff\xff\x7f")
SIZES = st.one_of(
    st.integers(0, 4), st.sampled_from([28, 12, 1]), st.integers(-2, 70_000), st.sampled_from([2**31, 2**62, -(2**63)])
)
SHAPES = st.one_of(st.just([1, 28, 28, 1]), st.just([2, 3, 12]), st.just([2]), st.lists(SIZES, max_size=5))
FITTING = {
    "image": (4, [1, 28, 28, 1], "int_val"),
    "frames": (1, [2, 3, 12], "float_val"),
    "padding_mask": (10, [2, 3], "bool_val"),
    "x": (1, [2], "float_val"),
    "text": (7, [], "string_val"),
    "texts": (7, [1, 2], "string_val"),
    "inputs": (7, [2], "string_val"),
}
"""Dtype, shape and field that an input of that name takes."""
DTYPES = st.integers(0, 132)
NUMBERS = st.one_of(st.integers(0, 1), st.integers(-1, 300), st.integers(-(2**31), 2**31 - 1))
FLOATS = st.one_of(st.floats(width=32), st.just(0.5))


def _values(field: str) -> st.SearchStrategy[Any]:
    if field == "string_val":
        return st.lists(st.one_of(st.binary(max_size=6), st.just(_example(1.0))), max_size=4)
    if field in ("float_val", "double_val", "scomplex_val", "dcomplex_val"):
        return st.lists(FLOATS, max_size=4)
    if field == "bool_val":
        return st.lists(st.booleans(), max_size=6)
    if field.startswith("uint"):
        return st.lists(st.integers(0, 2**32 - 1), max_size=4)
    return st.lists(NUMBERS, max_size=4)


def _example(value: float) -> bytes:
    made = tf.train.Example()
    made.features.feature["x"].float_list.value.append(value)
    return made.SerializeToString()


@st.composite
def tensors(draw: st.DrawFn, name: str) -> Any:
    """TensorProtos whose dtype, shape, bytes and values may belong together or not."""
    anything = st.tuples(DTYPES, SHAPES, st.sampled_from(FIELDS))
    dtype, shape, field = draw(st.one_of(st.just(FITTING[name]), anything) if name in FITTING else anything)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    if draw(st.booleans()):
        getattr(proto, field).extend(draw(_values(field)))
        return proto
    proto.tensor_shape.unknown_rank = draw(st.integers(0, 20)) == 20
    if draw(st.booleans()):
        count = int(np.prod([abs(size) for size in shape], dtype=float)) if shape else 1
        size = draw(st.sampled_from([0, 1, 4, 8])) * (count if count < 5000 else 1) + draw(st.sampled_from([0, 0, 1]))
        proto.tensor_content = draw(st.sampled_from([b"\0", b"\xff", b"\x7f"])) * size
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        getattr(proto, field).extend(draw(_values(field)))
    return proto


@st.composite
def honest_tensors(draw: st.DrawFn) -> Any:
    """Well-formed ones, of any dtype and shape."""
    dtype = draw(st.sampled_from([np.uint8, np.float32, np.bool_, np.int64, np.float16, np.complex64, object]))
    shape = draw(st.one_of(st.just((2, 28, 28, 1)), st.lists(st.integers(0, 4), max_size=5).map(tuple)))
    if dtype is object:
        return tf.make_tensor_proto(np.full(shape, _example(1.0), object), tf.string)
    return tf.make_tensor_proto(np.full(shape, draw(st.sampled_from([0, 1, 99])), dtype))


@st.composite
def specs(draw: st.DrawFn, spec: Any) -> None:
    """Fill a ModelSpec."""
    spec.name = draw(st.one_of(st.sampled_from(MODELS), st.text(max_size=3)))
    spec.signature_name = draw(st.sampled_from(SIGNATURES))
    choice = draw(st.integers(0, 8))
    if choice == 0:
        spec.version.value = draw(st.sampled_from([0, 1, 2, -1, 2**63 - 1]))
    elif choice == 1:
        spec.version_label = draw(st.sampled_from(["stable", "canary", "\u00fc"]))


@st.composite
def predicts(draw: st.DrawFn) -> tuple[str, bytes]:
    request = predict_pb2.PredictRequest(
        output_filter=draw(st.lists(st.sampled_from(["y", "label", "\0"]), max_size=1))
    )
    draw(specs(request.model_spec))
    for name in draw(st.lists(st.sampled_from(INPUTS), max_size=2)):
        request.inputs[name].CopyFrom(draw(st.one_of(tensors(name), honest_tensors())))
    return "Predict", request.SerializeToString()


@st.composite
def fitting_predicts(draw: st.DrawFn) -> tuple[str, bytes]:
    """Names as the models have them, so that the tensors alone can be wrong."""
    name, signature, inputs = draw(
        st.sampled_from(
            [
                ("conv", "", ["image"]),
                ("sequence", "", ["frames", "padding_mask"]),
                ("double", "", ["x"]),
                ("double", "echo", ["text"]),
                ("double", "half", ["x"]),
                ("double", "lengths", ["texts"]),
                ("any_rank", "", ["x"]),
                ("native", "", ["inputs"]),
                ("examples", "scores", ["inputs"]),
                ("parsed", "", ["inputs"]),
            ]
        )
    )
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for one in inputs:
        request.inputs[one].CopyFrom(draw(st.one_of(tensors(one), honest_tensors())))
    return "Predict", request.SerializeToString()


@st.composite
def examples(draw: st.DrawFn, into: Any) -> None:
    """Fill the Input of a request by example."""
    listed = into.example_list_with_context if draw(st.booleans()) else into.example_list
    for _ in range(draw(st.integers(0, 3))):
        one = listed.examples.add()
        for name in draw(st.lists(st.sampled_from(["x", "name", "", "\u00fc"]), max_size=2)):
            feature = one.features.feature[name]
            kind = draw(st.sampled_from(["float_list", "int64_list", "bytes_list", ""]))
            if kind == "float_list":
                feature.float_list.value.extend(draw(st.lists(FLOATS, max_size=2)))
            elif kind == "int64_list":
                feature.int64_list.value.extend(draw(st.lists(NUMBERS, max_size=2)))
            elif kind:
                feature.bytes_list.value.extend(draw(st.lists(st.binary(max_size=3), max_size=2)))


@st.composite
def by_example(draw: st.DrawFn) -> tuple[str, bytes]:
    method = draw(st.sampled_from(["Classify", "Regress", "MultiInference"]))
    if method == "MultiInference":
        request = inference_pb2.MultiInferenceRequest()
        for _ in range(draw(st.integers(0, 3))):
            task = request.tasks.add(method_name=draw(st.sampled_from(METHOD_NAMES)))
            draw(specs(task.model_spec))
    else:
        request = (
            classification_pb2.ClassificationRequest if method == "Classify" else regression_pb2.RegressionRequest
        )()
        draw(specs(request.model_spec))
        if draw(st.booleans()):
            request.model_spec.name = draw(st.sampled_from(["examples", "native"]))
    draw(examples(request.input))
    return method, request.SerializeToString()


@st.composite
def about_models(draw: st.DrawFn) -> tuple[str, bytes]:
    method = draw(st.sampled_from(["GetModelMetadata", "GetModelStatus", "HandleReloadConfigRequest"]))
    if method == "HandleReloadConfigRequest":
        request = model_management_pb2.ReloadConfigRequest()
        for _ in range(draw(st.integers(0, 2))):
            one = request.config.model_config_list.config.add(
                name=draw(st.text(max_size=2)), base_path=draw(st.sampled_from(["", "x", "/x", "/\0", "gs://x", "//"]))
            )
            one.model_version_policy.specific.versions.extend(draw(st.lists(st.integers(-1, 2**40), max_size=2)))
            one.version_labels[draw(st.text(max_size=1))] = draw(st.integers(-1, 2))
        return method, request.SerializeToString()
    if method == "GetModelStatus":
        request = get_model_status_pb2.GetModelStatusRequest()
    else:
        fields = draw(st.lists(st.sampled_from(["signature_def", "", "x"]), max_size=2))
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    draw(specs(request.model_spec))
    return method, request.SerializeToString()


METHODS = (
    *("Predict", "Classify", "Regress", "MultiInference"),
    *("GetModelMetadata", "GetModelStatus", "HandleReloadConfigRequest"),
)
MADE = st.one_of(fitting_predicts(), predicts(), by_example(), about_models())


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """Made ones, then cut, changed or repeated somewhere; and now and then sent to another method."""
    method, body = draw(MADE)
    content = bytearray(body)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.integers(0, 4)):
            case 0:
                del content[at:]
            case 1:
                content[at : at + 1] = draw(
                    st.sampled_from([b"\xff", b"\x80", b"\0", b"\x7f", b"\xff\xff\xff\xff\x7f"])
                )
            case 2:
                content[at:at] = content[max(at - 8, 0) : at]
            case 3:
                content[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case _:
                content[at:at] = draw(st.binary(max_size=4))
    return (draw(st.sampled_from(METHODS)) if draw(st.integers(0, 9)) == 0 else method), bytes(content)


CASES = st.one_of(
    MADE, spoiled(), st.tuples(st.sampled_from(METHODS), st.binary(max_size=60)), spoiled(), fitting_predicts()
)
