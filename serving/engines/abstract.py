"""What the server asks of an engine. Importing this does not import TensorFlow."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from serving.protocol.signature import Signature

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2

__all__ = ["AbstractPredictor"]


class AbstractPredictor(abc.ABC):
    """A loaded version. `run` may be called from many threads at once; `close` only after the last `run`."""

    @property
    @abc.abstractmethod
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures that can be called, by key."""

    @property
    @abc.abstractmethod
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The signatures as `GetModelMetadata` shows them."""

    @abc.abstractmethod
    def run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """All outputs of signature `key` for checked `inputs`, which stand in the order of its specs.

        Raises:
            RequestError: the model refused these values, or failed on them.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Free what the version holds."""
