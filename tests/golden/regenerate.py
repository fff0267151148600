"""Writes the golden values anew: `python tests/golden/regenerate.py`. Read the difference before you commit it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))


def answers(descriptor) -> dict[str, object]:
    """Returns a model's parameter count and its logits, weights and inputs being sines: no generator of chance."""
    import numpy as np

    model = descriptor.model.build()
    for index, weight in enumerate(model.weights):
        steps = np.arange(np.prod(weight.shape), dtype="float32").reshape(weight.shape)
        value = 0.3 * np.sin(steps * 0.7 + index)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)
    tensors = {}
    for name, tensor in model.input.items():
        shape = [2, *(7 if size is None else size for size in tensor.shape[1:])]
        steps = np.arange(np.prod(shape), dtype="float32").reshape(shape)
        tensors[name] = steps % 7 < 5 if tensor.dtype == "bool" else np.sin(steps * 0.3).astype("float32")
    logits = model({name: np.asarray(value) for name, value in tensors.items()})["logits"]
    return {"parameters": model.count_params(), "logits": np.round(np.asarray(logits), 5).tolist()}


def main() -> None:
    """Writes one file per descriptor."""
    import descriptors

    for name, descriptor in descriptors.every_model():
        (FOLDER / f"{name}.json").write_text(json.dumps(answers(descriptor), indent=1) + "\n")
        print(name)


if __name__ == "__main__":
    main()
