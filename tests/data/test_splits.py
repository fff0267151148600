from __future__ import annotations

import pytest

from zoo.data.splits import split_ranges
from zoo.errors import DataError, UnknownNameError, UsageError

SIZES = {"train": 55, "test": 7}


@pytest.mark.parametrize(
    "split",
    [
        "train",
        "train[:90%]",
        "train[90%:]",
        "train[50:]",
        "train[-10%:]",
        "train[-3:]",
        "train[10%:20%]",
        "train[5:55]",
        "train+test",
        "train[:1%]+test[2:4]",
        "test[50%:]",
    ],
)
def test_agrees_with_tfds(split):
    from tensorflow_datasets.core.splits import ReadInstruction, SplitInfo

    infos = {
        name: SplitInfo(name=name, shard_lengths=[size], num_bytes=0, filename_template=None)
        for name, size in SIZES.items()
    }
    expected = [
        (part.splitname, part.from_ or 0, SIZES[part.splitname] if part.to is None else part.to)
        for part in ReadInstruction.from_spec(split).to_absolute(infos)
    ]
    received = [(part.name, part.start, part.stop) for part in split_ranges(split, SIZES)]
    assert received == expected


def test_unknown_split_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'trian'. Did you mean 'train'\? Known: test, train"):
        split_ranges("trian[:5]", SIZES)


@pytest.mark.parametrize("split", ["", "train[5]", "train[a:]", "train[:10%", "train test", "train++test"])
def test_unreadable_notation(split):
    with pytest.raises(UsageError):
        split_ranges(split, SIZES)


def test_percentage_out_of_range():
    with pytest.raises(UsageError, match=r"-100 to 100. Received: 120%"):
        split_ranges("train[:120%]", SIZES)


def test_slice_beyond_the_split():
    with pytest.raises(UsageError, match="holds 55 examples; a slice cannot begin or end at 500"):
        split_ranges("train[5:500]", SIZES)


@pytest.mark.parametrize("split", ["train[5:5]", "train[55:]", "train[30:20]", "test[:1%]"])
def test_nothing_left_after_slicing(split):
    with pytest.raises(DataError, match=r"holds no example. The official splits hold: train 55, test 7"):
        split_ranges(split, SIZES)
