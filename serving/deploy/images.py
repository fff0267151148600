"""Which tag of `tensorflow/serving` fits models exported by given TensorFlow versions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from serving.errors import UsageError

__all__ = ["KNOWN_TAGS", "REPOSITORY", "ImageChoice", "choose_image", "is_stock", "minor_of"]

REPOSITORY = "tensorflow/serving"

# The newest published tag of each minor version. A tag is TensorFlow Serving's version, which is that of the TensorFlow
# it is built on. To add one, add its line.
KNOWN_TAGS = {
    (2, 13): "2.13.1",
    (2, 14): "2.14.1",
    (2, 15): "2.15.1",
    (2, 16): "2.16.1",
    (2, 17): "2.17.1",
    (2, 18): "2.18.0",
    (2, 19): "2.19.1",
    (2, 20): "2.20.0",
    (2, 21): "2.21.0",
}

Minor = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """The image to run, and what the operator should know about the choice."""

    reference: str
    warnings: tuple[str, ...] = ()


def minor_of(version: str) -> Minor | None:
    """The first two numbers of a version, or None where it does not begin with two.

    Example:
        >>> minor_of("2.21.0-rc1")
        (2, 21)
    """
    found = re.match(r"v?(\d+)\.(\d+)(?![0-9])", version)
    return (int(found[1]), int(found[2])) if found else None


def choose_image(exported_by: Iterable[str], *, given: str | None, allow_version_skew: bool) -> ImageChoice:
    """The image for models that these TensorFlow versions exported.

    A SavedModel loads in the minor version that wrote it and in newer ones of the same major version, so the newest
    export decides.

    Args:
        exported_by: TensorFlow versions, each as its `__version__`.
        given: the operator's own image.
        allow_version_skew: take an image that is older than an export.

    Raises:
        UsageError: the image would be older than an export by a minor version, or of another major version.
    """
    minors = {version: minor for version in set(exported_by) if (minor := minor_of(version))}
    warnings = []
    if len({minor[0] for minor in minors.values()}) > 1:
        raise UsageError(
            f"One server cannot serve exports of different major versions of TensorFlow. Received: "
            f"{', '.join(sorted(minors))}. Export the models again with one, or split the root."
        )
    if len(set(minors.values())) > 1:
        warnings.append(f"exported by different TensorFlow versions: {', '.join(sorted(minors))}; the newest decides.")
    if not minors:
        return _without_versions(given)
    newest, needed = max(minors.items(), key=lambda item: item[1])
    reference = given or f"{REPOSITORY}:{_nearest_tag(needed)}"
    offered = _minor_of_image(reference)
    if offered is None:
        warnings.append(
            f"{reference} does not tell its TensorFlow version; make sure that it is {_spelled(needed)} or newer."
        )
    elif offered < needed or offered[0] != needed[0]:
        problem = (
            f"the models were exported by TensorFlow {newest}, and {reference} has {_spelled(offered)}: operations "
            f"that it does not know would keep a model from loading"
        )
        if not allow_version_skew:
            raise UsageError(
                f"Version skew: {problem}. Give an image of TensorFlow {_spelled(needed)} or newer by `--image`, "
                f"export the models with TensorFlow {_spelled(offered)}, or try it with `--allow-version-skew`."
            )
        warnings.append(f"version skew, allowed: {problem}.")
    elif offered != needed:
        warnings.append(f"{reference} is newer than the exports ({newest}), which TensorFlow supports.")
    return ImageChoice(reference=reference, warnings=tuple(warnings))


def is_stock(reference: str) -> bool:
    """Whether the image is the published one, which exists for amd64 alone."""
    return reference.partition("@")[0].partition(":")[0].removeprefix("docker.io/") == REPOSITORY


def _without_versions(given: str | None) -> ImageChoice:
    reference = given or f"{REPOSITORY}:{KNOWN_TAGS[max(KNOWN_TAGS)]}"
    return ImageChoice(
        reference=reference,
        warnings=(f"no model tells which TensorFlow exported it; {reference} was not checked against any.",),
    )


def _nearest_tag(needed: Minor) -> str:
    """The tag of this minor version, else of the next newer one, else the newest of all."""
    newer = [minor for minor in KNOWN_TAGS if minor >= needed]
    return KNOWN_TAGS[min(newer) if newer else max(KNOWN_TAGS)]


def _minor_of_image(reference: str) -> Minor | None:
    """What the tag says, also where a digest follows it; other people's tags follow other versions."""
    name, _, tag = reference.split("@")[0].rpartition(":")
    return minor_of(tag) if name.rsplit("/", 1)[-1] == "serving" else None


def _spelled(minor: Minor) -> str:
    return f"{minor[0]}.{minor[1]}"
