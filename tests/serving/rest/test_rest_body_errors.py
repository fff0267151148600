"""What is wrong with the body of a request, in TensorFlow Serving's words: inputs, instances and examples."""

import pytest
from post_errors import check_post_error

IMAGE = [[[[0]] * 28] * 28]
ROW = "Failed to process element: {} of 'instances' list. "

ERRORS = [
    (
        "unknown signature",
        "conv:predict",
        {"signature_name": "nosig", "instances": IMAGE},
        400,
        'Serving signature name: "nosig" not found in signature def',
    ),
    (
        "signature is no string",
        "conv:predict",
        {"signature_name": 3, "instances": []},
        400,
        'JSON Value: {"signature_name": 3, "instances": []} not formatted correctly. \'signature_name\' key must be a '
        "string value.",
    ),
    ("no key", "conv:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
    (
        "both keys",
        "double:predict",
        {"inputs": [1], "instances": [1]},
        400,
        'JSON Value: {"inputs": [1], "instances": [1]} Not formatted correctly expecting only one of \'inputs\' or '
        "'instances' keys to exist ",
    ),
    (
        "instances is no list",
        "conv:predict",
        {"instances": 1},
        400,
        "JSON Value: {\"instances\": 1} Expecting 'instances' to be an list/array",
    ),
    (
        "no instances",
        "conv:predict",
        {"instances": []},
        400,
        "JSON Value: {\"instances\": []} No values in 'instances' array",
    ),
    (
        "missing input of a column",
        "sequence:predict",
        {"inputs": {"frames": [[[0.0] * 12]]}},
        400,
        "Missing named input: padding_mask in 'inputs' object.",
    ),
    (
        "missing input of a row",
        "sequence:predict",
        {"instances": [{"frames": [[0.0]]}]},
        400,
        ROW.format(0) + 'JSON object: {"frames": [[0.0]]} keys must be equal to: frames,padding_mask',
    ),
    (
        "unknown input of a row",
        "double:predict",
        {"instances": [{"x": 1}, {"z": 1}]},
        400,
        ROW.format("1 key: z") + "Error: INVALID_ARGUMENT: JSON object: does not have named input: z",
    ),
    (
        "rows without names for two inputs",
        "sequence:predict",
        {"instances": [1]},
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    (
        "columns without names for two inputs",
        "sequence:predict",
        {"inputs": [1]},
        400,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    (
        "an object and then a list",
        "double:predict",
        {"instances": [{"x": 1}, 2]},
        400,
        "Expecting object but got list at item 1 of input list",
    ),
    (
        "a list and then an object",
        "double:predict",
        {"instances": [1, {"x": 2}]},
        400,
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        "wrong type",
        "conv:predict",
        {"instances": [[[["a"]]]]},
        400,
        ROW.format(0) + 'Error: INVALID_ARGUMENT: JSON Value: "a" Type: String is not of expected type: uint8',
    ),
    (
        "rows of other sizes",
        "double:predict",
        {"signature_name": "lengths", "instances": [["a"], ["a", "b"]]},
        400,
        ROW.format(1) + "Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2",
    ),
    (
        "rows of other shapes",
        "conv:predict",
        {"instances": [[[1, 2]], [[1], [2]]]},
        400,
        ROW.format(1) + "Error: INVALID_ARGUMENT: Expecting shape [1,2] but got: [2,1]",
    ),
    (
        "ragged",
        "double:predict",
        {"signature_name": "lengths", "inputs": [["a"], []]},
        400,
        "Encountered list at unexpected size: 0 at level: 1 expected size: 1",
    ),
    (
        "wrong rank",
        "conv:predict",
        {"instances": [[1, 2]]},
        400,
        "Input `image` must have shape [?, 28, 28, 1]. Received: [1, 2].",
    ),
    (
        "27 in place of 28",
        "conv:predict",
        {"inputs": [IMAGE[0][:27]]},
        400,
        "Input `image` must have shape [?, 28, 28, 1]. Received: [1, 27, 28, 1].",
    ),
    (
        "empty batch",
        "double:predict",
        {"inputs": []},
        400,
        "Input `x` holds no examples: its batch size must be at least 1. Received: shape [0].",
    ),
    (
        "outputs without a batch in the row format",
        "double:predict",
        {"signature_name": "spin", "inputs": "x"},
        400,
        'JSON Value: "x" Type: String is not of expected type: float',
    ),
    (
        "an output without rows",
        "double:predict",
        {"signature_name": "half", "instances": [1]},
        400,
        "Tensor name: largest has no shape information ",
    ),
    (
        "an assertion in the graph",
        "double:predict",
        {"instances": [200]},
        400,
        "assertion failed: [`x` must be below 100]",
    ),
    (
        "no examples",
        "examples:classify",
        {},
        400,
        "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
    ),
    (
        "empty examples",
        "examples:regress",
        {"examples": []},
        400,
        "JSON Value: {\"examples\": []} 'examples' value is an empty array",
    ),
    (
        "examples is no list",
        "examples:regress",
        {"examples": {}},
        400,
        "JSON Value: {\"examples\": {}} Expecting 'examples' value to be an list/array",
    ),
    (
        "an example is no object",
        "examples:classify",
        {"examples": [3]},
        400,
        "Example must be JSON object but got JSON Number",
    ),
    (
        "a feature of two kinds",
        "examples:classify",
        {"examples": [{"x": [1, 2.5]}]},
        400,
        "Unexpected element type in feature: x expecting type: int64",
    ),
    (
        "a feature of lists",
        "examples:classify",
        {"examples": [{"x": [[1]]}]},
        400,
        "Feature: x has element with unexpected JSON type: Array",
    ),
    (
        "a feature of null",
        "examples:classify",
        {"examples": [{"x": None}]},
        400,
        "Feature: x has element with unexpected JSON type: Null",
    ),
    (
        "a feature of uint64",
        "examples:classify",
        {"examples": [{"x": 2**63}]},
        400,
        "Feature: x has uint64 element. Only int64 is supported.",
    ),
    (
        "a feature larger than a float",
        "examples:classify",
        {"examples": [{"x": 1e39}]},
        400,
        "Cannot convert JSON value: 1e+39 to float without loss of precision.",
    ),
    (
        "unknown signature of classify",
        "examples:classify",
        {"signature_name": "nosig", "examples": [{}]},
        400,
        "No signature was found with the name: nosig",
    ),
]


@pytest.mark.parametrize(
    ("path", "document", "status", "text"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_post_error(rest, path, document, status, text):
    check_post_error(rest, path, document, status, text)


def test_classify_on_a_predict_signature(rest):
    response = rest.post("/v1/models/double:classify", json={"examples": [{"x": 1.0}]})
    assert response.status_code == 400
    assert response.json()["error"].startswith("No classification inputs found in SignatureDef: ")
