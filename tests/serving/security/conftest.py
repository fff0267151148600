"""SavedModels to scan, written once."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # importlib mode: for `hostile_models`, `scan_refusals`


@pytest.fixture(scope="session")
def vocabulary_model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A SavedModel with an asset."""
    import hostile_models

    path = tmp_path_factory.mktemp("vocabulary")
    (path / "vocabulary.txt").write_text("no\nyes\n")
    hostile_models.write_vocabulary(path / "1", path / "vocabulary.txt")
    return path / "1"


@pytest.fixture(scope="module")
def hostile():
    return pytest.importorskip("hostile_models")


@pytest.fixture
def harmless(tmp_path, hostile):
    return hostile.write_hostile(tmp_path / "1", lambda x: x, "harmless")
