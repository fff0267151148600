"""A model directory whose version directories hold one file with a number, and predictors that answer it."""

import pathlib
import shutil
from collections.abc import Mapping

import numpy as np

from serving.engines.abstract import AbstractPredictor
from serving.errors import ModelLoadError
from serving.repository.model_config import ModelConfig, all_versions
from serving.repository.repository import Repository, State
from serving.repository.retries import LoadRetries


class FakePredictor(AbstractPredictor):
    def __init__(self, path: pathlib.Path):
        content = (path / "saved_model.pb").read_text() if (path / "saved_model.pb").exists() else "missing"
        if not content.isdigit():
            raise ModelLoadError(f"{path.name}: {content}")
        self.content = int(content)
        self.closed = False

    @property
    def signatures(self) -> Mapping:
        return {}

    @property
    def signature_defs(self) -> Mapping:
        return {}

    def run(self, key, inputs) -> Mapping[str, np.ndarray]:
        if self.closed:
            raise RuntimeError("used after close")
        return {"content": np.array(self.content)}

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


class Disk:
    """One model `m` on disk and a repository that looks at it."""

    def __init__(self, path: pathlib.Path, policy=all_versions):
        self.path = path / "m"
        self.path.mkdir()
        self.models = [ModelConfig(name="m", base_path=self.path, policy=policy)]
        self.loads: list[str] = []
        self.now = 0.0
        self.repository = Repository(lambda: self.models, self.load, retries=LoadRetries(lambda: self.now))

    def load(self, path: pathlib.Path) -> FakePredictor:
        self.loads.append(path.name)
        return FakePredictor(path)

    def write(self, version: int | str, content: str = "1") -> None:
        (self.path / str(version)).mkdir(exist_ok=True)
        (self.path / str(version) / "saved_model.pb").write_text(content)

    def remove(self, version: int) -> None:
        shutil.rmtree(self.path / str(version))

    def refresh(self) -> list[int]:
        self.repository.refresh()
        return self.repository.served().get("m", [])

    def ask(self, version: int | None = None, label: str = "") -> int:
        with self.repository.use("m", version=version, label=label) as loaded:
            return int(loaded.predictor.run("", [])["content"])

    def states(self) -> dict[int, State]:
        return {status.version: status.state for status in self.repository.status("m")}
