"""Which signatures may share a call is found out by trying."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from fake_engine import FakeEngine, spec

from serving.batching.probing import mergeable_signatures
from serving.errors import InvalidInputError
from serving.protocol.codec import dtype_of_number
from serving.protocol.signature import Signature, TensorSpec


class Function(FakeEngine):
    """Answers `y` by a numpy function of `x`."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray], inputs: TensorSpec, outputs: TensorSpec):
        super().__init__()
        self.function = function
        self._signature = Signature(key="serving_default", inputs={"x": inputs}, outputs={"y": outputs})

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return {"serving_default": self._signature}

    def run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        return {"y": self.function(inputs[0])}


def refuse(x: np.ndarray) -> np.ndarray:
    raise InvalidInputError("made-up values will not do")


generator = np.random.default_rng(0)
OPEN = spec("x", None, 4)
CASES = {
    "each row for itself": (lambda x: x.sum(-1, keepdims=True), OPEN, spec("y", None, 1), True),
    "last digits differ": (lambda x: x * (1 + 1e-6 * len(x)), OPEN, spec("y", None, 4), True),
    "centred over the batch": (lambda x: x - x.mean(0), OPEN, spec("y", None, 4), False),
    "softmax over the batch": (lambda x: np.exp(x) / np.exp(x).sum(0), OPEN, spec("y", None, 4), False),
    "scored against the first": (lambda x: x @ x[:1].T, OPEN, spec("y", None, 1), False),
    "one answer for all": (lambda x: x.sum(0), OPEN, spec("y", 4), False),
    "by chance": (lambda x: generator.random(x.shape), OPEN, spec("y", None, 4), False),
    "refuses made-up values": (refuse, OPEN, spec("y", None, 4), False),
    "fixed batch": (lambda x: x, spec("x", 1, 4), spec("y", 1, 4), False),
    "unknown rank": (
        lambda x: x,
        TensorSpec(name="x", dtype=dtype_of_number(1), shape=None),
        spec("y", None, 4),
        False,
    ),
    "strings": (
        lambda x: x,
        TensorSpec(name="x", dtype=dtype_of_number(7), shape=(None,)),
        TensorSpec(name="y", dtype=dtype_of_number(7), shape=(None,)),
        False,
    ),
}


@pytest.mark.parametrize(("function", "inputs", "outputs", "mergeable"), CASES.values(), ids=CASES)
def test_mergeable(function, inputs, outputs, mergeable):
    found = mergeable_signatures(Function(function, inputs, outputs), {})
    assert found == (frozenset({"serving_default"}) if mergeable else frozenset())


def test_the_examples_of_the_warm_up_are_taken():
    def known(x: np.ndarray) -> np.ndarray:
        if not np.isin(x, (7, 8)).all():
            raise InvalidInputError("not in the vocabulary")
        return x

    engine = Function(known, OPEN, spec("y", None, 4))
    assert not mergeable_signatures(engine, {})
    example = [np.array([[7, 8, 8, 8]], np.float32)]
    assert mergeable_signatures(engine, {"serving_default": example}) == {"serving_default"}


@pytest.mark.parametrize("row", [[[0.0] * 4], [[2.0] * 4]], ids=["zeros", "equal values"])
def test_an_example_of_equal_values_is_tried_beside_another_row(row):
    example = {"serving_default": [np.array(row, np.float32)]}
    assert not mergeable_signatures(Function(lambda x: x - x.mean(0), OPEN, spec("y", None, 4)), example)
    assert mergeable_signatures(Function(lambda x: x * 2, OPEN, spec("y", None, 4)), example)


@pytest.mark.parametrize("example", [{}, {"serving_default": [np.array([6])]}], ids=["made up", "example"])
def test_a_number_a_row_is_tried_beside_another(example):
    numbers = TensorSpec(name="x", dtype=dtype_of_number(9), shape=(None,))
    for function, mergeable in ((lambda x: x - x.mean().astype(x.dtype), False), (lambda x: x * 2, True)):
        engine = Function(function, numbers, TensorSpec(name="y", dtype=dtype_of_number(9), shape=(None,)))
        assert bool(mergeable_signatures(engine, example)) is mergeable


def test_strings_of_the_warm_up_are_taken():
    strings = TensorSpec(name="x", dtype=dtype_of_number(7), shape=(None,))
    engine = Function(lambda x: x, strings, TensorSpec(name="y", dtype=dtype_of_number(7), shape=(None,)))
    example = [np.array([b"a sentence"], object)]
    assert mergeable_signatures(engine, {"serving_default": example}) == {"serving_default"}
