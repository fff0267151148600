from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import Synthetic, TensorInfo, batches, take_arrays
from zoo.data.arrays import tensor_specs
from zoo.errors import DataError, UnknownNameError, UsageError

PATHS = [pytest.param(2**20, id="memory"), pytest.param(0, id="stream")]
FORMS = ["frames", "image", "text"]


def lists(dataset, name="label"):
    return [batch[name].numpy().tolist() for batch in dataset]


def joined(labels):
    return list(itertools.chain.from_iterable(labels))


def make(source, **changes):
    return batches(source, "train", **{"batch_size": 4, "shuffle": True, "seed": 7} | changes)


@pytest.mark.parametrize("form", FORMS)
def test_memory_and_stream_give_the_same_batches(numbered, form):
    memory, stream = (make(numbered(form=form), shuffle=False, cache_bytes=size) for size in (2**20, 0))
    dtypes = [{name: spec.dtype for name, spec in tensor_specs(path).items()} for path in (memory, stream)]
    assert dtypes[0] == dtypes[1]
    pairs = list(zip(memory, stream, strict=True))
    assert len(pairs) == 6
    for ours, theirs in pairs:
        assert set(ours) == set(theirs)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_unshuffled_is_in_order_and_keeps_the_last_batch(numbered, cache_bytes):
    dataset = make(numbered(), shuffle=False, cache_bytes=cache_bytes)
    assert len(dataset) == 6
    assert [len(labels) for labels in lists(dataset)] == [4, 4, 4, 4, 4, 3]
    assert joined(lists(dataset)) == list(range(23))


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_dropping_the_remainder(numbered, cache_bytes):
    dataset = make(numbered(), drop_remainder=True, cache_bytes=cache_bytes)
    assert len(dataset) == 5
    assert [len(labels) for labels in lists(dataset)] == [4] * 5
    assert tensor_specs(dataset)["label"].shape == (4,)


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_each_pass_has_every_example_once_in_another_order(numbered, cache_bytes):
    dataset = make(numbered(), cache_bytes=cache_bytes)
    passes = [joined(lists(dataset)) for _ in range(3)]
    assert all(sorted(labels) == list(range(23)) for labels in passes)
    assert len({tuple(labels) for labels in passes}) == 3
    assert list(range(23)) not in passes


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_equal_seeds_give_equal_orders_pass_by_pass(numbered, cache_bytes):
    first, again, other = (make(numbered(), seed=seed, cache_bytes=cache_bytes) for seed in (7, 7, 8))
    orders = [[lists(dataset) for _ in range(3)] for dataset in (first, again, other)]
    assert orders[0] == orders[1]
    assert all(ours != theirs for ours, theirs in zip(orders[0], orders[2], strict=True))


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_repeating_goes_on_with_new_orders(numbered, cache_bytes):
    dataset = make(numbered(), repeat=True, cache_bytes=cache_bytes)
    assert dataset.cardinality() == -1  # tf.data.INFINITE_CARDINALITY
    labels = lists(dataset.take(12))
    assert [len(batch) for batch in labels] == [4, 4, 4, 4, 4, 3] * 2
    assert labels[:6] != labels[6:]
    assert sorted(joined(labels[6:])) == list(range(23))


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_mask_and_padding_are_those_of_the_batch(numbered, cache_bytes):
    for batch in make(numbered(), cache_bytes=cache_bytes):
        frames, mask, label = (batch[name].numpy() for name in ("frames", "padding_mask", "label"))
        lengths = label % 5 + 1
        assert mask.dtype == bool
        assert frames.shape == (len(label), lengths.max(), 2)
        assert np.array_equal(mask, np.arange(lengths.max()) < lengths[:, None])
        # each example beside its own label, and nothing but zeros where the mask is false
        assert np.array_equal(frames, np.where(mask, label[:, None] + 1, 0)[..., None] * np.ones(2))


@pytest.mark.parametrize("cache_bytes", PATHS)
@pytest.mark.parametrize("form", ["image", "text"])
def test_labels_stay_with_their_examples(numbered, form, cache_bytes):
    for batch in make(numbered(form=form), cache_bytes=cache_bytes):
        assert set(batch) == {form, "label"}
        values = batch[form].numpy().reshape(len(batch["label"]), -1)[:, 0].astype(np.int64)
        assert np.array_equal(values, batch["label"].numpy() + 1)


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_sorting_by_length_loses_nothing_and_saves_padding(numbered, cache_bytes):
    source = numbered(num_train=200)
    by_chance, window = (make(source, length_window=size, cache_bytes=cache_bytes) for size in (0, 10))
    first, second = lists(window), lists(window)
    assert sorted(joined(first)) == sorted(joined(second)) == list(range(200))
    assert first != second
    assert [len(labels) for labels in first] == [4] * 50
    lengths = [batch["frames"].shape[1] for batch in window]
    assert lengths != sorted(lengths), "batches come in an order of chance"
    assert sum(lengths) < 0.85 * sum(batch["frames"].shape[1] for batch in by_chance)
    for batch in window:
        assert np.array_equal(batch["padding_mask"].numpy().sum(axis=1), batch["label"].numpy() % 5 + 1)
    again = make(source, length_window=10, cache_bytes=cache_bytes)
    assert lists(again) == first


@pytest.mark.parametrize("cache_bytes", PATHS)
def test_sorting_by_length_keeps_or_drops_the_last_batch(numbered, cache_bytes):
    kept = lists(make(numbered(), length_window=2, cache_bytes=cache_bytes))
    assert sorted(joined(kept)) == list(range(23))
    dropped = make(numbered(), length_window=2, cache_bytes=cache_bytes, drop_remainder=True)
    assert len(dropped) == 5
    assert [len(labels) for labels in lists(dropped)] == [4] * 5
    passes = [set(range(23)) - set(joined(lists(dropped))) for _ in range(30)]
    num_longest = sum(label % 5 == 4 for missing in passes for label in missing)  # 4 of 23 examples
    assert all(len(missing) == 3 for missing in passes)
    assert num_longest < 30  # of 90, where 16 are to be expected; sorted before cutting, it would be 60 and more


def test_two_varying_tensors_have_a_mask_each(numbered):
    class Pairs(numbered):
        def info(self):
            tensors = {**super().info().tensors, "tokens": TensorInfo(shape=(None,), dtype="int64")}
            return dataclasses.replace(super().info(), tensors=tensors)

        def load(self, split):
            return super().load(split).map(lambda example: {**example, "tokens": tf.range(example["label"] % 3)})

    for cache_bytes in (2**20, 0):
        batch = next(iter(make(Pairs(), shuffle=False, batch_size=3, cache_bytes=cache_bytes)))
        assert batch["tokens_padding_mask"].numpy().tolist() == [[False, False], [True, False], [True, True]]
        assert batch["tokens"].numpy().tolist() == [[0, 0], [0, 0], [0, 1]]
        assert batch["padding_mask"].shape == (3, 3), "the first keeps the plain name, whatever comes after it"
        assert "frames_padding_mask" not in batch


def test_a_source_that_hides_what_varies_is_told(numbered):
    class Silent(numbered):
        def load(self, split):
            return super().load(split).map(lambda example: {**example, "tokens": tf.range(example["label"] % 3)})

    with pytest.raises(DataError, match=r"varies; in its examples it is that of .*tokens"):
        make(Silent())


def test_what_does_not_fit_is_streamed(numbered, monkeypatch):
    from zoo.data import pipeline

    streamed = []
    original = pipeline._streamed
    monkeypatch.setattr(pipeline, "_streamed", lambda *args: streamed.append(1) or original(*args))
    per_split = sum(n % 5 + 1 for n in range(23)) * 2 * 4 + 23 * 8  # frames of float32 and labels of int64
    make(numbered(), cache_bytes=2 * per_split)
    assert streamed == []
    assert sum(map(len, lists(make(numbered(), cache_bytes=2 * per_split - 1)))) == 23
    assert streamed == [1]


@pytest.mark.parametrize("split", ["train[:1]", "train[20:]"])
def test_splits_of_one_batch(numbered, split):
    dataset = batches(numbered(), split, batch_size=8, shuffle=True, seed=0)
    assert len(lists(dataset)) == len(dataset) == 1


def test_batches_under_two_replicas_are_shared_out_whole(numbered):
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices[:2])
    distributed = strategy.experimental_distribute_dataset(make(numbered(), batch_size=8))
    for _ in range(2):
        seen = []
        for batch in distributed:
            parts = strategy.experimental_local_results(batch["label"])
            masks = strategy.experimental_local_results(batch["padding_mask"])
            assert [len(part) for part in parts] == [len(mask) for mask in masks]
            seen += [label for part in parts for label in part.numpy().tolist()]
        assert sorted(seen) == list(range(23))


def test_take_arrays_pads_and_stops_at_the_end(numbered):
    arrays = take_arrays(numbered(), "train", 3)
    assert arrays["label"].tolist() == [0, 1, 2]
    assert arrays["padding_mask"].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert len(take_arrays(numbered(), "train", 10**12)["label"]) == 23


def test_bad_requests(numbered):
    with pytest.raises(UsageError, match="Received: batch_size=0"):
        make(numbered(), batch_size=0)
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        batches(numbered(), "trian", batch_size=4, shuffle=False, seed=0)
    with pytest.raises(DataError, match="fewer examples than one batch of 64"):
        make(numbered(), batch_size=64, drop_remainder=True)


def test_no_thread_tunes_the_pipeline():
    """One that does sleeps ever longer, and each iterator waits for it to wake before it ends."""
    source = Synthetic(kind="images", shape=(4, 4, 1), num_train=8)
    dataset = batches(source, "train", batch_size=4, shuffle=True, seed=0)
    for read in (dataset, dataset.map(lambda batch: batch, num_parallel_calls=2)):
        assert read.options().autotune.enabled is False
