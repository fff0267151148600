"""The networks compute what they computed when their values were last looked at."""

import importlib.util
import json
from pathlib import Path

import descriptors
import numpy as np
import pytest

FOLDER = Path(__file__).parent
EVERY = descriptors.every_model()
spec = importlib.util.spec_from_file_location("regenerate", FOLDER / "regenerate.py")
assert spec is not None
assert spec.loader is not None
regenerate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(regenerate)


@pytest.mark.parametrize(
    ("name", "descriptor"), descriptors.every_model(), ids=[n for n, _ in descriptors.every_model()]
)
def test_answers_equal_the_golden_values(name, descriptor):
    golden = json.loads((FOLDER / f"{name}.json").read_text())
    now = regenerate.answers(descriptor)
    hint = "If the change is meant: python tests/golden/regenerate.py"
    assert now["parameters"] == golden["parameters"], hint
    np.testing.assert_allclose(now["logits"], golden["logits"], atol=2e-4, err_msg=hint)


def test_no_golden_value_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.json")} == {name for name, _ in descriptors.every_model()}
