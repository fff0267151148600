"""`<root>/models.config`: the list of models that TensorFlow Serving reads with `--model_config_file`."""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import ExportError

__all__ = ["FILE", "adding_model", "with_model"]

FILE = "models.config"


@contextlib.contextmanager
def adding_model(root: Path, name: str, serving_root: str | None) -> Iterator[None]:
    """Writes the entry for `name` where the body succeeds, and leaves the file as it was where it fails.

    The new text is on the disk before the body begins, so that a full disk is met before anything is published. Another
    export into the same root waits meanwhile: none loses the other's entry.

    Raises:
        ExportError: as `with_model`.
    """
    with _locked(root):
        text, path = with_model(root, name, serving_root), root / FILE
        if path.is_file() and path.read_text() == text:
            yield
            return
        beside = root / f".{FILE}.tmp-{uuid.uuid4().hex[:12]}"
        try:
            with beside.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            yield
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which ends the lock


def with_model(root: Path, name: str, serving_root: str | None) -> str:
    """Returns the text of `models.config` with an entry for `name`; entries that are there stay as they are.

    A new entry serves every version that stands in the directory. An entry of `name` that is there gets a new base path
    where `serving_root` is given and says another.

    Args:
        root: where the file stands, or will.
        name: the model.
        serving_root: where the server sees `root`, `/models` in the stock image's examples; by default where it is.

    Raises:
        ExportError: the file that is there is no ModelServerConfig, or lists models in another way.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    path = root / FILE
    if path.is_file():
        try:
            text_format.Parse(path.read_text(), config)
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise ExportError(
                f"{path} is no ModelServerConfig: {error}. Nothing was published. Mend or remove the file."
            ) from error
        if config.WhichOneof("config") == "custom_model_config":
            raise ExportError(
                f"{path} has a custom_model_config, to which no model can be added. Nothing was published."
            )
    models = config.model_config_list.config
    entry = next((model for model in models if model.name == name), None)
    if entry is not None:
        if not serving_root or entry.base_path == f"{serving_root.rstrip('/')}/{name}":
            return path.read_text()
        entry.base_path = f"{serving_root.rstrip('/')}/{name}"
        return text_format.MessageToString(config)
    base = f"{serving_root.rstrip('/')}/{name}" if serving_root else str((root / name).resolve())
    model = models.add(name=name, base_path=base, model_platform="tensorflow")
    model.model_version_policy.all.SetInParent()
    return text_format.MessageToString(config)
