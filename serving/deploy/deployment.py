"""From a root of models to the files of a deployment."""

from __future__ import annotations

import dataclasses
import pathlib

from serving.deploy.compose import compose_files
from serving.deploy.files import write_files
from serving.deploy.images import choose_image
from serving.deploy.kserve import kserve_files, kserve_warnings
from serving.deploy.kubernetes import kubernetes_files
from serving.deploy.options import DeployOptions
from serving.deploy.root import read_root

__all__ = ["TARGETS", "Written", "write_deployment"]

TARGETS = {"compose": compose_files, "kubernetes": kubernetes_files, "kserve": kserve_files}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """What was written, with which image, and what the operator should know."""

    image: str
    files: tuple[pathlib.Path, ...]
    warnings: tuple[str, ...]


def write_deployment(
    target: str, root: pathlib.Path, out: pathlib.Path, options: DeployOptions, *, force: bool = False
) -> Written:
    """Writes the manifests of `target` for the models of `root` into `out`.

    Args:
        target: "compose", "kubernetes" or "kserve".
        root: holds <name>/<version>/ and perhaps `models.config`.
        out: the directory to write into.
        options: the operator's choices.
        force: replace files in `out` that others wrote.

    Raises:
        UsageError: `root`, `out` or a choice is wrong, or the image would be older than the exports.
        ServingError: writing failed.
    """
    found = read_root(root)
    exported_by = [version.tensorflow for version in found.versions if version.tensorflow]
    choice = choose_image(exported_by, given=options.image, allow_version_skew=options.allow_version_skew)
    files = write_files(out, TARGETS[target](found, options, choice.reference), root=found.path, force=force)
    warnings = [*found.warnings, *choice.warnings, *(kserve_warnings(found) if target == "kserve" else [])]
    return Written(image=choice.reference, files=tuple(files), warnings=tuple(warnings))
