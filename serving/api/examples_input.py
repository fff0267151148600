"""The examples of a Classify, Regress or MultiInference request as the one string tensor that their signatures take."""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.errors import InvalidInputError
from serving.options import Limits
from serving.protocol.signature import TensorSpec, check_array

__all__ = ["serialized_examples"]


def serialized_examples(spec: TensorSpec, given: Any, *, limits: Limits) -> np.ndarray:
    """Each `tensorflow.Example` serialised, `[B]` of bytes; a shared context stands in front of every one.

    Two serialised messages in a row are one merged message: what an example says itself counts over its context.

    Args:
        spec: the signature's input.
        given: `tensorflow.serving.Input`.
        limits: how large the request may be.

    Raises:
        InvalidInputError: there are no examples, too many, or the signature takes something else.
    """
    kind = given.WhichOneof("kind")
    listed = getattr(given, kind) if kind else None
    if listed is None or not listed.examples:
        raise InvalidInputError("Input is empty.")
    num_examples = len(listed.examples)
    if not spec.dtype.is_string:
        raise InvalidInputError(f"Expects arg[0] to be {spec.dtype.name} but string is provided")
    check_array(spec, (num_examples,))
    if num_examples > limits.max_batch_size:
        raise InvalidInputError(
            f"A request must hold at most {limits.max_batch_size} examples. Received: {num_examples}. Send smaller "
            f"batches, or start the server with a larger `--max-batch-size`."
        )
    context = listed.context.SerializeToString() if kind == "example_list_with_context" else b""
    if (repeated := (num_examples - 1) * len(context)) > limits.max_repeated_bytes:
        raise InvalidInputError(
            f"The context of {len(context)} bytes for {num_examples} examples would take {repeated} bytes more than "
            f"were sent; at most {limits.max_repeated_bytes} are allowed. Send smaller batches."
        )
    array = np.empty(num_examples, object)
    array[:] = [context + example.SerializeToString() for example in listed.examples]
    return array
