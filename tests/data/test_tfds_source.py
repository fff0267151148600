from __future__ import annotations

import socket
import time

import pytest

from zoo.data import Tfds, batches, take_arrays
from zoo.errors import DataError, DataUnavailableError, UnknownNameError, UsageError

URL = "http://nowhere.invalid/words.txt"


@pytest.fixture(scope="session")
def local_builder():
    """The name of a registered builder that wants one file, which tfds knows by its checksum."""
    import hashlib

    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.core.utils import Size

    content = b"one two three"

    class ZooTestWords(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        url_infos = {  # noqa: RUF012
            URL: UrlInfo(size=Size(len(content)), checksum=hashlib.sha256(content).hexdigest(), filename="words.txt")
        }

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "label": tfds.features.ClassLabel(names=["short", "long"]),
                        "text": {"word": tfds.features.Text()},
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(dl_manager.download(URL))}

        def _generate_examples(self, path):
            for position, word in enumerate(path.read_text().split()):
                yield position, {"label": int(len(word) > 3), "text": {"word": word}}

    return ZooTestWords.name, content


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    return monkeypatch


def test_local_files_are_used_and_nested_names_are_paths(local_builder, data_root, tmp_path):
    name, content = local_builder
    (tmp_path / "words.txt").write_bytes(content)
    source = Tfds(name=name, manual_dir=str(tmp_path))
    arrays = take_arrays(source, "train", 9)
    assert set(zip(arrays["text/word"], arrays["label"], strict=True)) == {(b"one", 0), (b"two", 0), (b"three", 1)}
    info = source.info()
    assert info.tensors["text/word"].dtype == "string"
    assert info.names_of("label") == ("short", "long")
    assert info.num_examples == {"train": 3}


def test_prepared_data_needs_neither_files_nor_network(local_builder, data_root, tmp_path):
    name, content = local_builder
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    Tfds(name=name, manual_dir=str(tmp_path)).load("train")
    path.unlink()
    assert len(Tfds(name=name).load("train[:2]")) == 2


def test_a_local_file_that_is_another_is_refused(local_builder, data_root, tmp_path):
    (tmp_path / "words.txt").write_bytes(b"something else")
    with pytest.raises(DataError, match="wrong checksum"):
        Tfds(name=local_builder[0], manual_dir=str(tmp_path)).load("train")
    assert not list((tmp_path / "tfds_default").glob("*/1.0.0"))


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_refusing_proxy_is_told_at_once_with_the_offline_way(data_root, no_proxy, name):
    for variable in ("http_proxy", "https_proxy"):
        no_proxy.setenv(variable, "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(DataUnavailableError) as raised:
        Tfds(name=name).load("train")
    assert time.monotonic() - start < 10
    message = str(raised.value)
    assert "cannot be reached" in message
    assert "manual_dir" in message
    assert "HTTPS_PROXY" in message
    assert ("zoo data fetch mnist" in message) == (name == "mnist")


def test_a_host_that_never_answers_is_given_up_within_ten_seconds(local_builder, data_root, no_proxy):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        no_proxy.setenv("http_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(DataUnavailableError, match=r"nowhere.invalid cannot be reached.*no answer within"):
            Tfds(name=local_builder[0]).load("train")
        assert time.monotonic() - start < 10


def test_what_zoo_has_fetched_is_found(prepared_root, monkeypatch):
    monkeypatch.setenv("ZOO_DATA_DIR", str(prepared_root))
    assert len(Tfds(name="digits").load("test")) == 360


def test_a_file_cut_short_is_named(prepared_root, tmp_path):
    import shutil

    shutil.copytree(prepared_root / "tfds", tmp_path / "copy")
    path = next((tmp_path / "copy").glob("digits/*/digits-train*"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"have .* bytes together where .* were written"):
        Tfds(name="digits", data_dir=str(tmp_path / "copy")).load("train")
    path.unlink()
    with pytest.raises(DataError, match=r"digits-train.* is missing"):
        Tfds(name="digits", data_dir=str(tmp_path / "copy")).load("train")


def test_flipped_bits_are_found_while_reading(prepared_root, tmp_path):
    import shutil

    shutil.copytree(prepared_root / "tfds", tmp_path / "copy")
    path = next((tmp_path / "copy").glob("digits/*/digits-train*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    source = Tfds(name="digits", data_dir=str(tmp_path / "copy"))
    with pytest.raises(DataError, match="cannot be read to its end"):
        batches(source, "train", batch_size=8, shuffle=False, seed=0)


def test_broken_metadata_is_named(prepared_root, tmp_path):
    import shutil

    shutil.copytree(prepared_root / "tfds", tmp_path / "copy")
    next((tmp_path / "copy").glob("digits/*/dataset_info.json")).write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        Tfds(name="digits", data_dir=str(tmp_path / "copy")).load("train")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("mnits", UnknownNameError, "'mnits'. Did you mean 'mnist'"),
        ("glue/sst3", UnknownNameError, "configuration of glue: 'sst3'. Did you mean 'sst2'"),
        ("mnist:0.0.7", UsageError, "mnist:0.0.7"),
    ],
)
def test_unknown_names(data_root, name, error, message):
    with pytest.raises(error, match=message):
        Tfds(name=name).info()


@pytest.mark.parametrize(
    ("split", "error", "message"),
    [
        ("trian", UnknownNameError, "'trian'. Did you mean 'train'"),
        ("train[:x]", UsageError, "cannot be read"),
        ("train[5:5]", DataError, "holds no example"),
    ],
)
def test_unknown_splits(prepared_root, monkeypatch, split, error, message):
    monkeypatch.setenv("ZOO_DATA_DIR", str(prepared_root))
    with pytest.raises(error, match=message):
        Tfds(name="digits").load(split)


@pytest.mark.parametrize("name", ["mnist", "speech_commands", "ted_hrlr_translate/pt_to_en"])
def test_plumbing_for_real_names(data_root, name):
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=5):
        source = Tfds(name=name)
        stated = source.info().tensors
        batch = next(iter(batches(source, "train", batch_size=2, shuffle=True, seed=0)))
    assert set(stated) == set(batch) - {"padding_mask"}
    assert ("padding_mask" in batch) == (name == "speech_commands")
