from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import zoo.data
from zoo.data import Packaged, take_arrays
from zoo.data.packaged import RECIPES, prepared_directory, recipe_of
from zoo.errors import DataError, DataUnavailableError, UnknownNameError, UsageError


@pytest.fixture
def digits(prepared_root, monkeypatch):
    monkeypatch.setenv("ZOO_DATA_DIR", str(prepared_root))
    return Packaged(name="digits")


def test_importing_and_listing_need_no_tensorflow(tmp_path):
    code = (
        "import sys, zoo.data; rows = zoo.data.available(); "
        "assert [row.name for row in rows] == sorted(zoo.data.packaged.RECIPES); "
        "zoo.data.Packaged(name='mnist').info(); zoo.data.Tfds(name='mnist'); zoo.data.Synthetic(); "
        "print([name for name in ('tensorflow', 'tensorflow_datasets', 'sklearn', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete(name, tmp_path):
    recipe = recipe_of(name)
    assert recipe.info.name == name
    assert recipe.info.licence
    assert recipe.info.citation
    assert "text" in recipe.info.tensors or recipe.info.tensors["label"].dtype == "int64"
    digests = [digest for package in recipe.packages for digest in package.kept(tmp_path).values()]
    assert len(digests) >= len(recipe.packages)
    assert all(len(digest) == 64 for digest in digests)


def test_digits_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    arrays = take_arrays(digits, "train+test", 2000)
    assert arrays["image"].shape == (1797, 8, 8, 1)
    assert (arrays["image"].dtype, arrays["label"].dtype) == (np.uint8, np.int64)
    ours = {(image.tobytes(), label) for image, label in zip(arrays["image"], arrays["label"], strict=True)}
    original: Any = load_digits()
    theirs = zip(original.images.astype(np.uint8), original.target, strict=True)
    assert ours == {(image.tobytes(), label) for image, label in theirs}


def test_digits_split_is_disjoint_and_stratified(digits):
    train, test = (take_arrays(digits, split, 2000) for split in ("train", "test"))
    assert len(train["label"]) == digits.info().num_examples["train"] == 1437
    assert len(test["label"]) == digits.info().num_examples["test"] == 360
    seen = [{image.tobytes() for image in part["image"]} for part in (train, test)]
    assert not seen[0] & seen[1]
    shares = np.bincount(test["label"]) / np.bincount(np.concatenate([train["label"], test["label"]]))
    assert np.all(np.abs(shares - 0.2) < 0.01)


def test_digits_come_in_one_order_whatever_the_slice(digits):
    whole, part = take_arrays(digits, "train", 2000), take_arrays(digits, "train[10:-10]", 2000)
    assert np.array_equal(whole["image"][10:-10], part["image"])
    assert np.array_equal(whole["image"], take_arrays(digits, "train", 2000)["image"])


def test_info_agrees_with_what_tfds_prepared(digits):
    import tensorflow_datasets as tfds

    stated, prepared = digits.info(), tfds.builder_from_directory(prepared_directory(recipe_of("digits"))).info
    features: Any = prepared.features
    assert {name: tuple(features[name].shape) for name in features} == {
        name: tensor.shape for name, tensor in stated.tensors.items()
    }
    assert tuple(features["label"].names) == stated.tensors["label"].names
    assert {name: split.num_examples for name, split in prepared.splits.items()} == stated.num_examples
    assert prepared.redistribution_info.license == stated.licence
    assert prepared.citation == stated.citation


def test_digits_prepare_themselves_when_first_loaded(data_root):
    (row,) = [row for row in zoo.data.available() if row.name == "digits"]
    assert row.status == "made when first used"
    assert len(Packaged(name="digits").load("test")) == 360
    (row,) = [row for row in zoo.data.available() if row.name == "digits"]
    assert row.status == "ready"


@pytest.mark.parametrize("name", ["mnist", "japanese_vowels"])
def test_what_was_not_fetched_names_the_command(data_root, name):
    with pytest.raises(DataUnavailableError, match=f"Run `zoo data fetch {name}` once"):
        Packaged(name=name).load("train")
    assert not data_root.exists()


def test_unknown_names(digits):
    with pytest.raises(UnknownNameError, match=r"'minst'. Did you mean 'mnist'"):
        Packaged(name="minst")
    with pytest.raises(UnknownNameError, match=r"'minst'. Did you mean 'mnist'"):
        zoo.data.fetch("minst")
    with pytest.raises(UnknownNameError, match=r"split: 'validation'.* Known: test, train"):
        digits.load("validation")
    with pytest.raises(DataError, match="holds no example"):
        digits.load("train[:0]")
    with pytest.raises(UsageError, match="cannot begin or end at 5000"):
        digits.load("train[5000:]")


def truncate(directory):
    path = next(directory.glob("digits-train*"))
    path.write_bytes(path.read_bytes()[:-100])


def flip(directory):
    path = next(directory.glob("digits-train*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(directory):
    next(directory.glob("digits-test*")).unlink()


def blank(directory):
    (directory / "zoo_files.json").write_text("{")


@pytest.mark.parametrize("damage", [truncate, flip, remove, blank])
def test_damage_is_found_named_and_repaired(prepared_root, data_root, damage):
    import shutil

    shutil.copytree(prepared_root, data_root)
    directory = prepared_directory(recipe_of("digits"))
    damage(directory)
    with pytest.raises(DataError, match=f"damaged: {directory}.*`zoo data fetch digits`"):
        Packaged(name="digits").load("train")
    (row,) = [row for row in zoo.data.available() if row.name == "digits"]
    assert row.status == ("ready" if damage is flip else "damaged")  # a list opens no file
    zoo.data.fetch("digits")
    assert len(Packaged(name="digits").load("train")) == 1437


def test_a_root_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(DataUnavailableError, match=r"file failed: .*\$ZOO_DATA_DIR"):
        zoo.data.fetch("digits")


@pytest.mark.slow
def test_mnist_for_real(data_root):
    zoo.data.fetch("mnist", print)
    train, test = (take_arrays(Packaged(name="mnist"), split, 60_000) for split in ("train", "test"))
    assert np.bincount(train["label"]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test["label"]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train["image"].mean() == pytest.approx(33.3184, abs=1e-3)  # the mean of the original file
    assert len(zoo.data.Tfds(name="mnist").load("train")) == 60_000  # found without the network


@pytest.mark.slow
def test_japanese_vowels_for_real(data_root):
    zoo.data.fetch("japanese_vowels", print)
    source = Packaged(name="japanese_vowels")
    train, test = (take_arrays(source, split, 1000) for split in ("train", "test"))
    assert np.bincount(train["label"]).tolist() == [30] * 9
    assert np.bincount(test["label"]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    lengths = np.concatenate([part["padding_mask"].sum(axis=1) for part in (train, test)])
    assert (lengths.min(), lengths.max()) == (7, 29)
    assert train["frames"].shape == (270, 26, 12)
