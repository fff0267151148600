"""What the scan of a graph says when it refuses one."""

import pathlib

import grpc
import pytest

from serving.errors import ModelLoadError
from serving.security.graph_scan import scan


def refusal(path: pathlib.Path, allowed: frozenset[str] = frozenset()) -> str:
    with pytest.raises(ModelLoadError) as caught:
        scan(path, allowed_ops=allowed)
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
    return str(caught.value)
