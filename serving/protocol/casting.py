"""What a user has (a list, an int64 or float64 array) to the dtype a signature takes, where nothing is lost.

| given | taken | |
|---|---|---|
| the same dtype | any | as it is |
| bool, integers | integers | if every value fits |
| bool, integers | floats | if every value comes back unchanged |
| floats | floats | rounded to the nearest; refused if a finite value would become infinite |
| complex | complex | as floats |
| str, bytes | string | str as UTF-8 |
| floats | integers, bool | refused: an image scaled to [0, 1] would silently become 0 |
| anything else | | refused |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from serving.errors import InvalidInputError
from serving.protocol.signature import TensorSpec

__all__ = ["cast_input"]


def cast_input(spec: TensorSpec, value: ArrayLike) -> np.ndarray:
    """`value` as an array of the dtype of `spec`; its shape is not looked at.

    Raises:
        InvalidInputError: the conversion would lose something; nothing was sent.

    Example:
        >>> from serving.protocol.codec import dtype_of_number
        >>> cast_input(TensorSpec(name="image", dtype=dtype_of_number(4), shape=None), [0, 255]).dtype
        dtype('uint8')
    """
    target = spec.dtype.numpy
    if spec.dtype.is_string:
        return _strings(spec, value)
    if isinstance(value, np.ndarray) and value.dtype == target:
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(f"Input `{spec.name}` is no array: {error}.") from error
    if array.dtype == target:
        return array
    with np.errstate(all="ignore"):
        lossless = _is_lossless(array, target)
    if not lossless:
        raise InvalidInputError(
            f"Input `{spec.name}` must be {target.name}.",
            f"Received: {array.dtype.name}, whose values cannot become {target.name} without loss. Convert it first, "
            f"for example with `.astype(numpy.{target.name})`.",
        )
    return array.astype(target)


def _is_lossless(array: np.ndarray, target: np.dtype[Any]) -> bool:
    given, taken = _kind(array.dtype), _kind(target)
    if given in "bi" and taken in "if":
        # Comparing integers of both signs in float64 would round; back in their own dtype it does not.
        cast = array.astype(target)
        return bool((cast.astype(array.dtype) == array).all() and ((cast < 0) == (array < 0)).all())
    if given == taken and given in "fc":
        return bool((np.isfinite(array.astype(target)) == np.isfinite(array)).all())
    return False


def _kind(dtype: np.dtype[Any]) -> str:
    """`b`, `i` (both signs), `f` (bfloat16 too), `c`, or `?` for what has no conversion."""
    if dtype.name == "bfloat16":
        return "f"
    return {"b": "b", "i": "i", "u": "i", "f": "f", "c": "c"}.get(dtype.kind, "?")


def _strings(spec: TensorSpec, value: ArrayLike) -> np.ndarray:
    array = value if isinstance(value, np.ndarray) else np.array(value, dtype=object)
    odd = next((type(one).__name__ for one in array.flat if not isinstance(one, (str, bytes))), None)
    if odd is not None:
        raise InvalidInputError(f"Input `{spec.name}` must hold str or bytes. Received: an element of {odd}.")
    return array
