"""Which operations a graph may hold, and why the others may not."""

from __future__ import annotations

import functools
import importlib.resources
import re
from typing import Any

__all__ = ["ASSET_READERS", "RESTORES", "SAVES", "SAVE_HELPERS", "allowed_ops", "names_no_file", "reason"]

ASSET_READERS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "ReadFile"})
"""Read a file into a table or a string: let pass in the initialisation, where the file is one of the SavedModel's own
assets: a vocabulary, packed weights."""
RESTORES = frozenset({"RestoreV2"})
"""Read variables: let pass where the file is the one that the loader names."""
SAVES = frozenset({"SaveV2", "MergeV2Checkpoints"})
"""Write variables: let pass where nothing that the server runs reaches them. Every SavedModel holds them."""
SAVE_HELPERS = frozenset({"ShardedFilename", "ShardedFilespec"})
"""Make names of files out of strings, and touch no file."""
_STREAMS = re.compile(rb"|stdout|stderr|log\((info|warning|error)\)")
_DESCRIPTORS = re.compile(rb"|local://|bytes://.*", re.DOTALL)
HARMLESS_ATTRIBUTES = {
    "PrintV2": ("output_stream", _STREAMS),
    "DecodeProtoV2": ("descriptor_source", _DESCRIPTORS),
    "EncodeProto": ("descriptor_source", _DESCRIPTORS),
}
"""Operations whose attribute may name a file: let pass where it has this form, and names none."""

_PYTHON = "runs Python code that is not in the file"
_FILES = "reads or writes files"
_NETWORK = "talks to other machines or processes"
_HIDDEN = "runs a program that stands in a tensor or an attribute, where it cannot be scanned"

REASONS = (
    (re.compile(r"(Eager)?PyFunc.*|.*NumpyFunc.*|.*GeneratorDataset.*"), _PYTHON),
    (re.compile(r".*(File|Reader|LMDB|CSVDataset|Sql|Snapshot|Summary.*Writer|SaveDataset|LoadDataset).*"), _FILES),
    (re.compile(r"Save.*|Restore.*|MergeV2Checkpoints|Write.*|.*TFRecord.*|TextLine.*|FixedLengthRecord.*"), _FILES),
    (re.compile(r"CacheDataset.*|ImmutableConst|LoadAndRemapMatrix|GenerateVocabRemapping|DumpTensor"), _FILES),
    (re.compile(r"FixedUnigramCandidateSampler|(De|En)codeProto.*|CalibrationStatistics.*|CustomAggregator"), _FILES),
    (re.compile(r"Debug.*|Copy|CopyHost|PrintV2|InitializeTableFromTextFile.*|ImportEvent|FileSystem.*"), _FILES),
    (re.compile(r"_?(Host)?(Send|Recv)|Collective.*|Nccl.*|Rpc.*|DataService.*|RemoteCall|.*BigQuery.*"), _NETWORK),
    (re.compile(r"WorkerHeartbeat|RegisterDataset.*|.*PubSub.*|.*Kafka.*|.*Bigtable.*"), _NETWORK),
    (re.compile(r"Xla(CallModule|CustomCall).*|MlirPassthroughOp|.*FromGraph|Deserialize.*|Remote.*"), _HIDDEN),
    (re.compile(r"Abort"), "ends the server's process"),
    (re.compile(r".*Dataset.*|.*Iterator.*"), "belongs to data pipelines, some of which read files"),
)
_UNKNOWN = "is not on the list of operations known to be harmless"


@functools.cache
def allowed_ops() -> frozenset[str]:
    """The names in `allowed_ops.txt`, and those that only make names of files."""
    text = importlib.resources.files("serving.security").joinpath("allowed_ops.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(name for line in lines for name in line.split()) | SAVE_HELPERS


def names_no_file(node: Any) -> bool:
    """Whether a node is one of `HARMLESS_ATTRIBUTES`, and harmless."""
    name, form = HARMLESS_ATTRIBUTES.get(node.op, ("", None))
    return form is not None and form.fullmatch(node.attr[name].s) is not None


def reason(op: str) -> str:
    """Why operation `op` is refused, as the end of a sentence.

    Example:
        >>> reason("WriteFile")
        'reads or writes files'
    """
    return next((text for pattern, text in REASONS if pattern.fullmatch(op)), _UNKNOWN)
