"""The recipes of images and of time series over small files of the same layout, and (slow) over the real packages."""

from __future__ import annotations

import collections
import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo.data
from zoo.data import Packaged, take_arrays
from zoo.data.packaged import recipe_of
from zoo.data.recipes import fashion_mnist, openclipart
from zoo.data.recipes.openclipart import fitted, nearly_same
from zoo.data.recipes.time_series import ts_examples


def test_images_are_laid_on_white_fitted_and_centred():
    half_clear = Image.new("RGBA", (64, 16), (255, 0, 0, 128))
    square = fitted(half_clear, 32)
    assert (square.shape, square.dtype) == ((32, 32, 3), np.uint8)
    assert np.all(square[:12] == 255)
    assert np.all(square[20:] == 255)
    assert np.all(np.abs(square[12:20].astype(int) - [255, 127, 127]) <= 1)
    assert fitted(Image.new("RGB", (1, 500)), 32)[:, 15].max() == 0  # a line keeps at least one pixel


def test_scaling_down_averages():
    stripes = Image.fromarray((np.arange(640) % 2 * 255).astype(np.uint8)[None].repeat(640, axis=0), "L")
    assert np.abs(fitted(stripes, 32)[4:-4, 4:-4].astype(int) - 127).max() < 8


def giant_png(side: int) -> bytes:
    """A PNG whose header claims `side` x `side` pixels and that holds none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def draw(root: Path, path: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 200, (40, 30, 3)).astype(np.uint8)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(root / path)


def word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


@pytest.fixture
def drawings(tmp_path):
    root = tmp_path / openclipart._IMAGES
    for number in range(100):
        draw(root, f"animals/sea/{word(number)}_01.png", number)
        draw(root, f"food/{word(number)}.png", 1000 + number)
    for number in range(30):
        draw(root, f"shapes/star_{number:02d}.png", 2000 + number)
    draw(root, "animals/copy_of_b.png", 1)
    draw(root, "animals/copy_two.png", 3000)
    draw(root, "people/both.png", 4000)
    draw(root, "food/both.png", 4000)
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(root / "food/blank.png")
    for side in (6_500, 12_000, 20_000):  # without, with a warning and with an error of Pillow's own
        (root / f"food/giant{side}.png").write_bytes(giant_png(side))
    return tmp_path


def arranged(files):
    recipe = openclipart.RECIPES["openclipart"]
    openclipart._arrange(files, lambda line: None)
    return {split: dict(recipe.examples(split, files)) for split in recipe.info.num_examples}


def test_drawings_are_chosen_and_grouped(drawings, caplog):
    caplog.set_level("INFO")
    parts = arranged(drawings)
    made = {path: (split, example) for split, part in parts.items() for path, example in part.items()}
    assert "10 of a series of more than 20, 3 of more than 40 million pixels, 1 that are there already" in caplog.text
    assert "2 that stand in several categories" in caplog.text
    assert "1 white all over" in caplog.text
    assert len(made) == 100 + 100 + 20 + 1
    assert len({made[path][0] for path in made if path.startswith("shapes/star")}) == 1
    split_of_copy, original = made["animals/copy_of_b.png"][0], made["animals/copy_two.png"][0]
    assert split_of_copy == original  # one series
    names = recipe_of("openclipart").info.names_of("label")
    assert all(names[example["label"]] == path.split("/")[0] for path, (_, example) in made.items())
    images = [example["image"].tobytes() for _, example in made.values()]
    assert len(set(images)) == len(images)
    counts = collections.Counter((path.split("/")[0], split) for path, (split, _) in made.items())
    assert [counts["food", split] for split in parts] == [pytest.approx(share, abs=2) for share in (70, 15, 15)]


def test_unreadable_drawings_are_named_and_too_many_are_an_error(drawings, caplog):
    broken = drawings / openclipart._IMAGES / "food/broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    arranged(drawings)
    assert "food/broken.png was skipped" in caplog.text
    for number in range(5):
        broken.with_name(f"broken{number}.png").write_bytes(b"no image")
    with pytest.raises(zoo.errors.DataError, match="6 files of openclipart cannot be read"):
        arranged(drawings)


def test_headers_of_fashion_mnist_are_put_back(tmp_path):
    directory = tmp_path / fashion_mnist._DIRECTORY
    directory.mkdir(parents=True)
    for name in fashion_mnist._MODIFIED_S:
        (directory / f"{name}.gz").write_bytes(gzip.compress(name.encode() * 9, mtime=5))
    (tmp_path / "manual").mkdir()
    fashion_mnist._manual_files(tmp_path, tmp_path / "manual")
    for name, modified_s in fashion_mnist._MODIFIED_S.items():
        packed = (tmp_path / "manual" / f"{name}.gz").read_bytes()
        assert gzip.decompress(packed) == name.encode() * 9
        assert struct.unpack("<I", packed[4:8]) == (modified_s,)
        assert packed[10 : 11 + len(name)] == name.encode() + b"\0"


def test_series_are_read_dimension_by_dimension(tmp_path):
    (tmp_path / "Tiny_TRAIN.ts").write_text(
        "# a comment: with a colon\n@problemName Tiny\n@classLabel true b a\n@data\n1,2,3:4,5,6:a\n-7,8:9,1e1:b\n"
    )
    (first, one), (second, two) = ts_examples(tmp_path / "Tiny_TRAIN.ts", ("b", "a"))
    assert (first, one["label"], second, two["label"]) == ("0000", 1, "0001", 0)
    assert one["frames"].dtype == np.float32
    assert one["frames"].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert two["frames"].tolist() == [[-7, 9], [8, 10]]


@pytest.mark.slow
def test_fashion_mnist_for_real(data_root):
    zoo.data.fetch("fashion_mnist", print)
    train, test = (take_arrays(Packaged(name="fashion_mnist"), split, 60_000) for split in ("train", "test"))
    assert np.bincount(train["label"]).tolist() == [6000] * 10
    assert np.bincount(test["label"]).tolist() == [1000] * 10
    assert train["image"].mean() == pytest.approx(72.94, abs=0.01)
    tfds_info = zoo.data.Tfds(name="fashion_mnist").info()
    assert tfds_info.tensors == Packaged(name="fashion_mnist").info().tensors


@pytest.mark.slow
def test_openclipart_for_real(data_root):
    zoo.data.fetch("openclipart", print)
    parts = [take_arrays(Packaged(name="openclipart"), split, 4000) for split in ("train", "validation", "test")]
    images = [{image.tobytes() for image in part["image"]} for part in parts]
    assert not images[0] & images[1]
    assert not images[0] & images[2]
    assert not images[1] & images[2]
    assert all(len(np.unique(part["label"])) == 8 for part in parts)
    split_of = np.repeat(np.arange(3), [len(part["label"]) for part in parts])
    one, other = nearly_same(np.concatenate([part["image"] for part in parts]), 0.1).T
    assert len(one) > 100
    assert (split_of[one] == split_of[other]).all()


def test_nearly_same_drawings():
    images = np.full((4, 8, 8, 3), 255, "uint8")
    images[:2, 2:6, 2:6] = 0
    images[1, 2, 2] = 200  # 1 of 16 dark pixels is lighter
    images[2, 2:5, 2:6] = 0
    images[3] = 0
    assert nearly_same(images, 0.1).tolist() == [[0, 1]]
    assert nearly_same(images, 0.04).shape == (0, 2)


def test_nearly_same_drawings_go_to_one_split_or_out(tmp_path):
    root = tmp_path / openclipart._IMAGES
    for number in range(40):
        draw(root, f"food/{word(number)}x.png", number)
        retouched(root / f"food/{word(number)}x.png", root / f"food/{word(number)}y.png")
    draw(root, "people/stray.png", 77)
    retouched(root / "people/stray.png", root / "animals/stray.png")
    made = {path: split for split, part in arranged(tmp_path).items() for path in part}
    assert len(made) == 80
    assert len(set(made.values())) == 3
    assert all(made[path] == made[path.replace("x.", "y.")] for path in made if path.endswith("x.png"))


def retouched(original, copy):
    copy.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(original) as image:
        image.putpixel((0, 0), (1, 2, 3, 255))
        image.save(copy)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gun_point", "italy_power_demand", "osu_leaf", "acsf1", "basic_motions"])
def test_series_for_real(data_root, name):
    zoo.data.fetch(name, print)
    source = Packaged(name=name)
    lengths = {"gun_point": 150, "italy_power_demand": 24, "osu_leaf": 427, "acsf1": 1460, "basic_motions": 100}
    for split, number in source.info().num_examples.items():
        arrays = take_arrays(source, split, 2000)
        assert arrays["frames"].shape == (number, lengths[name], source.info().tensors["frames"].shape[1])
        assert arrays["padding_mask"].all()
        assert len(np.unique(arrays["label"])) == len(source.info().names_of("label"))
