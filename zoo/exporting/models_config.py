"""`<root>/models.config`: the list of models that TensorFlow Serving reads with `--model_config_file`."""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from pathlib import Path

from zoo.errors import ExportError

__all__ = ["FILE", "with_model"]

FILE = "models.config"


def with_model(root: Path, name: str, serving_root: str | None) -> str:
    """Returns the text of `models.config` with an entry for `name`; entries that are there stay as they are.

    A new entry serves every version that stands in the directory.

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
    if all(model.name != name for model in models):
        base = f"{serving_root.rstrip('/')}/{name}" if serving_root else str((root / name).resolve())
        model = models.add(name=name, base_path=base, model_platform="tensorflow")
        model.model_version_policy.all.SetInParent()
    return text_format.MessageToString(config)
