"""Which image fits which exports."""

import pytest

from serving.deploy.images import KNOWN_TAGS, choose_image, is_stock, minor_of
from serving.errors import UsageError


@pytest.mark.parametrize(
    ("exported_by", "tag"),
    [
        (["2.21.0"], "2.21.0"),
        (["2.20.0"], "2.20.0"),
        (["2.19.0"], "2.19.1"),
        (["2.18.0-rc1"], "2.18.0"),
        (["2.9.1"], KNOWN_TAGS[min(KNOWN_TAGS)]),
        (["2.19.1", "2.21.0", "2.9.0"], "2.21.0"),
    ],
    ids=["newest", "exact", "newest patch", "candidate", "older than all", "several"],
)
def test_the_newest_export_decides(exported_by, tag):
    choice = choose_image(exported_by, given=None, allow_version_skew=False)
    assert choice.reference == f"tensorflow/serving:{tag}"
    assert any("different TensorFlow versions" in warning for warning in choice.warnings) is (len(exported_by) > 1)


def test_a_tag_is_of_its_minor_version():
    assert all(minor_of(tag) == minor for minor, tag in KNOWN_TAGS.items())


@pytest.mark.parametrize("given", ["tensorflow/serving:2.20.0", "mirror.example:5000/tensorflow/serving:2.9.0", None])
def test_an_older_image_is_refused_unless_allowed(given):
    exported_by = ["2.21.0"] if given else [f"2.{max(KNOWN_TAGS)[1] + 1}.0"]
    with pytest.raises(UsageError, match="Version skew.*--image.*--allow-version-skew"):
        choose_image(exported_by, given=given, allow_version_skew=False)
    choice = choose_image(exported_by, given=given, allow_version_skew=True)
    assert choice.reference == (given or f"tensorflow/serving:{KNOWN_TAGS[max(KNOWN_TAGS)]}")
    assert any("version skew, allowed" in warning for warning in choice.warnings)


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        ("tensorflow/serving:2.21.3", None),
        ("tensorflow/serving:2.22.0", "newer than the exports"),
        ("example.org/own/server:7.1", "does not tell"),
        ("tensorflow/serving:latest", "does not tell"),
        (f"tensorflow/serving@sha256:{'0' * 64}", "does not tell"),
        (f"tensorflow/serving:2.21.0@sha256:{'0' * 64}", None),
        ("localhost:2021/tensorflow/serving", "does not tell"),
    ],
    ids=["patch", "newer", "own", "latest", "digest", "tag and digest", "a port is no tag"],
)
def test_a_given_image_is_taken_as_it_is(given, warning):
    choice = choose_image(["2.21.0"], given=given, allow_version_skew=False)
    assert choice.reference == given
    assert [warning in found for found in choice.warnings] == ([True] if warning else [])


def test_major_versions_do_not_mix():
    with pytest.raises(UsageError, match="different major versions"):
        choose_image(["1.15.0", "2.21.0"], given=None, allow_version_skew=True)
    with pytest.raises(UsageError, match="Version skew"):
        choose_image(["1.15.0"], given=None, allow_version_skew=False)


def test_unknown_exports_are_warned_of():
    choice = choose_image([], given=None, allow_version_skew=False)
    assert choice.reference.startswith("tensorflow/serving:")
    assert "not checked" in choice.warnings[0]


def test_the_stock_image_is_known():
    assert is_stock("tensorflow/serving:2.21.0")
    assert is_stock("docker.io/tensorflow/serving@sha256:00")
    assert not is_stock("example.org/tensorflow/serving:2.21.0")
