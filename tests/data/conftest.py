"""Stand-ins: a data root, a source whose examples say their number, clients that deliver what a test wrote."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data import AbstractSource, DataInfo, TensorInfo
from zoo.data.splits import split_ranges


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "data_root"
    monkeypatch.setenv("ZOO_DATA_DIR", str(root))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds_default"))
    return root


@pytest.fixture(scope="session")
def prepared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the digits in it; not to be written to."""
    import zoo.data

    root = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_DATA_DIR", str(root))
        zoo.data.fetch("digits")
    return root


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbered(AbstractSource):
    """Example number n holds n + 1 in every place, and n for a label; frames are n % 5 + 1 long."""

    num_train: int = 23
    form: str = "frames"

    def info(self) -> DataInfo:
        shape = {"frames": (None, 2), "image": (2, 2, 1), "text": ()}[self.form]
        dtype = {"frames": "float32", "image": "uint8", "text": "string"}[self.form]
        return DataInfo(
            name="numbered",
            tensors={
                self.form: TensorInfo(shape=shape, dtype=dtype),
                "label": TensorInfo(shape=(), dtype="int64"),
            },
            num_examples={"train": self.num_train},
        )

    def load(self, split: str):
        import tensorflow as tf

        (part,) = split_ranges(split, self.info().num_examples)

        def example(number):
            if self.form == "text":
                return {"text": tf.strings.as_string(number + 1), "label": number}
            if self.form == "image":
                return {"image": tf.fill([2, 2, 1], tf.cast(number + 1, tf.uint8)), "label": number}
            frames = tf.fill([number % 5 + 1, 2], tf.cast(number + 1, tf.float32))
            return {"frames": tf.ensure_shape(frames, [None, 2]), "label": number}

        return tf.data.Dataset.range(part.start, part.stop).map(example)


@pytest.fixture
def numbered() -> type[Numbered]:
    return Numbered


@pytest.fixture
def put_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Returns a function that makes a command of Python code, the only one of its kind on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))

    def put(name: str, code: str) -> Path:
        path = directory / name
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    assert os.environ["PATH"] == str(directory)
    return put
