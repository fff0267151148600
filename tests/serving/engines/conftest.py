"""Files of LiteRT, written once a session."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # importlib mode: for `litert_files`


@pytest.fixture(scope="session")
def lite_models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """images (with a SavedModel), two, types, padded, windows, recurrent: version directories to read."""
    import litert_files

    path = tmp_path_factory.mktemp("lite_models")
    litert_files.write_images(path / "images")
    litert_files.write_signatures(path)
    litert_files.write_recurrent(path / "recurrent")
    return path
