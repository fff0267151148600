from __future__ import annotations

import collections
import logging

import pytest

from zoo.data.grouping import SPLITS, LeftOut, groups_of, split_evenly, split_of
from zoo.errors import DataError


def test_hashed_splits_have_their_shares_and_do_not_depend_on_other_groups():
    counts = collections.Counter(split_of(f"group {number}") for number in range(4000))
    assert {split: round(count / 4000, 1) for split, count in counts.items()} == {
        "train": 0.7,
        "validation": pytest.approx(0.15, abs=0.051),
        "test": pytest.approx(0.15, abs=0.051),
    }
    assert [split_of(name) for name in ("bear", "cat", "oak")] == ["validation", "train", "test"]


def test_groups_are_linked_through_others():
    chain = {f"item{number:02d}": [number, number + 1] for number in range(40)}
    groups = groups_of({**chain, "alone": ["other"], "without": []})
    assert {groups[name] for name in chain} == {"item00"}
    assert (groups["alone"], groups["without"]) == ("alone", "without")


def test_even_splits_cut_by_members_not_by_groups():
    sizes = {f"group {number}": 1 + number % 7 for number in range(200)}
    splits, total = split_evenly(sizes), sum(sizes.values())
    shares = {name: sum(sizes[group] for group in sizes if splits[group] == name) / total for name in SPLITS}
    assert shares == {
        "train": pytest.approx(0.70, abs=0.01),
        "validation": pytest.approx(0.15, abs=0.01),
        "test": pytest.approx(0.15, abs=0.01),
    }
    assert split_evenly(dict(reversed(sizes.items()))) == splits


def test_what_is_left_out_is_counted_and_named(caplog):
    caplog.set_level(logging.INFO)
    left_out = LeftOut("birds train")
    left_out.count("too long")
    left_out.count("twice there", 3)
    left_out.unreadable("owl.ogg", ValueError("no such codec"))
    left_out.close(num_kept=100)
    assert [record.getMessage() for record in caplog.records] == [
        "birds train: owl.ogg was skipped, since it cannot be read: no such codec",
        "birds train: 100 examples; left out: 1 too long, 3 twice there, 1 unreadable",
    ]


def test_more_than_one_in_a_hundred_unreadable_is_an_error():
    left_out = LeftOut("birds train")
    left_out.unreadable("owl.ogg", ValueError("no such codec"))
    with pytest.raises(DataError, match="1 files of birds train cannot be read, where 98 can.*at most 1%"):
        left_out.close(num_kept=98)
