"""SavedModels to scan, written once."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # importlib mode: for `hostile_models`


@pytest.fixture(scope="session")
def vocabulary_model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A SavedModel with an asset."""
    import hostile_models

    path = tmp_path_factory.mktemp("vocabulary")
    (path / "vocabulary.txt").write_text("no\nyes\n")
    hostile_models.write_vocabulary(path / "1", path / "vocabulary.txt")
    return path / "1"
