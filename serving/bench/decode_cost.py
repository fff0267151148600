"""What it costs to make numpy arrays of an answer: this package's codec and `tensorflow.make_ndarray`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from serving.errors import ServingError

__all__ = ["decode_cost"]

PROCESS_TIMEOUT_S = 300.0

# In a process of its own, for TensorFlow is imported. Started with: rows, columns.
_CODE = """
import json, sys, timeit
import numpy, tensorflow
from serving.protocol.codec import decode_tensor, encode_content, encode_values
from serving.protocol.messages import TensorProto
from tensorflow.core.framework import tensor_pb2

def us(function):  # many short rounds: the quickest is the least disturbed
    return round(min(timeit.repeat(function, number=200, repeat=50)) / 200 * 1e6, 3)

array = numpy.random.default_rng(0).random([int(size) for size in sys.argv[1:]], numpy.float32)
report = {}
for form, encode in (("float_val", encode_values), ("tensor_content", encode_content)):
    proto = TensorProto()
    encode(array, proto)
    wire = proto.SerializeToString()
    published = tensor_pb2.TensorProto.FromString(wire)
    assert (decode_tensor(proto) == array).all() and (tensorflow.make_ndarray(published) == array).all()
    report[form] = {
        "parse_us": us(lambda: TensorProto.FromString(wire)),
        "decode_us": us(lambda: decode_tensor(proto)),
        "tensorflow_us": us(lambda: tensorflow.make_ndarray(published)),
    }
print(json.dumps(report))
"""


def decode_cost(*, rows: int = 32, columns: int = 10) -> dict[str, Any]:
    """Decode a float32 answer of `[rows, columns]` in both forms that servers send.

    Returns:
        For `float_val` and `tensor_content`, in microseconds: `parse_us` from bytes to a message, `decode_us` from the
        message to an array, and `tensorflow_us`, what `tensorflow.make_ndarray` takes for the latter.

    Raises:
        ServingError: the process failed, for one because TensorFlow is not installed.
    """
    command = (sys.executable, "-c", _CODE, str(rows), str(columns))
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ServingError(f"The process that decodes ended with status {done.returncode}: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])
