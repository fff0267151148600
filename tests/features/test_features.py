"""Features: the numbers they compute, what they learn, and that padding takes no part."""

import dataclasses

import numpy as np
import pytest

from zoo.errors import DataError, InvalidValueError
from zoo.features.augmentation import RandomShift
from zoo.features.base import compose
from zoo.features.images import ImageResize, ImageScaling
from zoo.features.sequences import SequenceNormalization, UtteranceNormalization


def test_image_scaling_maps_the_range_to_one():
    image = np.array([[0, 8, 16]], "uint8")[..., None, None]
    scaled = compose([ImageScaling(max_value=16)])({"image": image, "label": np.array([3])})
    np.testing.assert_allclose(np.ravel(scaled["image"]), [0, 0.5, 1])
    assert scaled["image"].dtype == "float32"
    assert scaled["label"][0] == 3


def test_normalization_learns_from_real_frames_only():
    random = np.random.default_rng(0)
    frames = random.normal(3.0, 2.0, size=(8, 6, 2)).astype("float32")
    mask = np.arange(6) < random.integers(1, 7, size=8)[:, None]
    frames[~mask] = 1e6  # would be seen at once
    batches = [{"frames": frames[:3], "padding_mask": mask[:3]}, {"frames": frames[3:], "padding_mask": mask[3:]}]
    feature = SequenceNormalization().fit(batches)
    np.testing.assert_allclose(feature.mean, frames[mask].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(feature.std, frames[mask].std(axis=0), rtol=1e-5)
    out = np.asarray(compose([feature])({"frames": frames, "padding_mask": mask})["frames"])
    np.testing.assert_allclose(out[mask].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(out[mask].std(axis=0), 1, atol=1e-5)
    assert (out[~mask] == 0).all()


@pytest.mark.parametrize(
    ("frames", "mask", "message"),
    [
        (np.zeros((1, 2, 1)), np.zeros((1, 2), bool), "no frame"),
        (np.full((1, 2, 1), np.nan), np.ones((1, 2), bool), "NaN"),
    ],
    ids=["empty", "nan"],
)
def test_normalization_refuses(frames, mask, message):
    with pytest.raises(DataError, match=message):
        SequenceNormalization().fit([{"frames": frames, "padding_mask": mask}])


def test_normalization_without_statistics_is_an_error():
    with pytest.raises(DataError, match="call `fit`"):
        SequenceNormalization().layer()


def test_random_shift_moves_training_images_only():
    random = np.random.default_rng(0)
    images = np.zeros((64, 9, 9, 1), "uint8")
    images[:, 3:6, 3:6] = random.integers(1, 255, (64, 3, 3, 1))
    shift = compose([RandomShift(pixels=2)])
    np.testing.assert_array_equal(shift({"image": images})["image"], images)
    moved = np.asarray(shift({"image": images}, training=True)["image"])
    assert moved.dtype == np.uint8
    seen = set()
    for before, after in zip(images[..., 0], moved[..., 0], strict=True):
        rows, columns = np.nonzero(after)
        seen.add((rows.min() - 3, columns.min() - 3))
        np.testing.assert_array_equal(
            after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], before[3:6, 3:6]
        )
    assert {offset for move in seen for offset in move} == {-2, -1, 0, 1, 2}
    assert len(seen) > 15
    np.testing.assert_array_equal(shift({"image": images}, training=True)["image"], moved)
    assert (np.asarray(shift({"image": images[::-1].copy()}, training=True)["image"])[::-1] != moved).any()


def test_each_utterance_is_normalised_by_its_own_frames():
    random = np.random.default_rng(0)
    lengths = np.array([8, 5, 2, 1, 0])
    mask = np.arange(8) < lengths[:, None]
    frames = (random.normal(size=(5, 8, 3)) * [1, 10, 0.01] + [0, 100, -5]).astype("float32")
    frames[~mask] = np.nan
    out = np.asarray(compose([UtteranceNormalization()])({"frames": frames, "padding_mask": mask})["frames"])
    for row, length in enumerate(lengths[:3]):
        real = frames[row, :length].astype("float64")
        np.testing.assert_allclose(out[row, :length], (real - real.mean(axis=0)) / real.std(axis=0), atol=2e-3)
    assert (out[~mask] == 0).all()
    assert (out[3] == 0).all()
    whole = compose([UtteranceNormalization()])({"frames": frames[:1]})["frames"]
    np.testing.assert_allclose(whole, out[:1], atol=1e-5)


def test_a_value_that_does_not_change_in_an_utterance_becomes_zeros():
    frames = np.stack([np.full((2, 50), -23.02585), np.tile(np.arange(50.0), (2, 1))], axis=-1).astype("float32")
    out = np.asarray(compose([UtteranceNormalization()])({"frames": frames})["frames"])
    assert (out[..., 0] == 0).all()
    np.testing.assert_allclose(out[..., 1].std(axis=1), 1, rtol=1e-5)


def test_resize_keeps_the_range_and_does_not_alias():
    stripes = np.tile(np.array([0, 200], "uint8"), 16)[None, None, :, None].repeat(32, axis=1)  # [1, 32, 32, 1]
    small = np.asarray(compose([ImageResize(height=8, width=10)])({"image": stripes})["image"])
    assert small.shape == (1, 8, 10, 1)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small[:, :, 2:-2], 100, atol=8)
    large = np.asarray(compose([ImageResize(height=2, width=4)])({"image": np.array([[[[0], [8]]]], "uint8")})["image"])
    np.testing.assert_allclose(large[0, :, :, 0], [[0, 2, 6, 8]] * 2)


@pytest.mark.parametrize("field", ["height", "width"])
def test_resize_refuses_no_pixels(field):
    with pytest.raises(InvalidValueError, match=field):
        dataclasses.replace(ImageResize(height=4, width=4), **{field: 0})
