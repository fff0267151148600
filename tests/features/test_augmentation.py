"""Random changes of training examples: each does what it says, within its limits, and anew for other batches."""

import numpy as np
import pytest

from zoo.errors import DataError, InvalidValueError
from zoo.features.augmentation import Cutout, Mixup, RandomAffine, RandomFlip, SpecAugment
from zoo.features.base import compose

RANDOM = np.random.default_rng(0)


def trained(feature, **tensors):
    out = compose([feature])(tensors, training=True)
    return {name: np.asarray(value) for name, value in out.items()}


def pictures(count=64, size=12, dtype="uint8"):
    return RANDOM.integers(1, 255, (count, size, size, 2)).astype(dtype)


@pytest.mark.parametrize(
    "feature",
    [RandomFlip(), RandomAffine(), Cutout(), Mixup(num_classes=3, alpha=1.0)],
    ids=lambda feature: type(feature).__name__,
)
def test_equal_batches_are_changed_equally_and_others_otherwise(feature):
    image, label = pictures(), np.arange(64) % 3
    one = trained(feature, image=image, label=label)["image"]
    assert (one == trained(feature, image=image, label=label)["image"]).all()
    another = trained(feature, image=image[::-1].copy(), label=label[::-1].copy())["image"]
    assert (one != another[::-1]).any()


def test_a_share_of_images_is_flipped():
    image = pictures()
    out = trained(RandomFlip(), image=image)["image"]
    flipped = (out == image[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (out[~flipped] == image[~flipped]).all()
    assert 16 < flipped.sum() < 48
    assert (trained(RandomFlip(probability=1.0), image=image)["image"] == image[:, :, ::-1]).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("pixels", [4, 5])
def test_cutout_is_one_square_that_may_reach_over_the_edge(pixels, dtype):
    image = pictures(count=256, dtype=dtype)
    out = trained(Cutout(pixels=pixels), image=image)["image"]
    assert out.dtype == dtype
    sizes, corners = set(), set()
    for before, after in zip(image, out, strict=True):
        rows, columns = np.nonzero((after == 0).all(axis=-1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        inside = (height == pixels or rows.min() == 0 or rows.max() == 11) and (
            width == pixels or columns.min() == 0 or columns.max() == 11
        )
        assert inside
        sizes.add((height, width))
        corners.add((rows.min(), columns.min()))
        assert (after == before).all(axis=-1).sum() == 144 - height * width
    assert max(sizes) == (pixels, pixels)
    assert min(height for height, _ in sizes) == pixels - pixels // 2
    assert len(corners) > 50


def test_mixup_mixes_images_and_classes_by_the_same_share():
    image, label = pictures(), RANDOM.integers(0, 5, 64)
    out = trained(Mixup(num_classes=5, alpha=1.0), image=image, label=label)
    assert out["image"].dtype == out["label"].dtype == np.float32
    np.testing.assert_allclose(out["label"].sum(axis=1), 1, atol=1e-6)
    shares = []
    for row in range(64):
        first, second = image[row].astype("float64"), image[(row + 1) % 64].astype("float64")
        share = ((out["image"][row] - second) * (first - second)).sum() / np.square(first - second).sum()
        np.testing.assert_allclose(out["image"][row], share * first + (1 - share) * second, atol=1e-2)
        expected = share * np.eye(5)[label[row]] + (1 - share) * np.eye(5)[label[(row + 1) % 64]]
        np.testing.assert_allclose(out["label"][row], expected, atol=1e-4)
        shares.append(share)
    assert min(shares) < 0.2
    assert max(shares) > 0.8
    assert 0.35 < np.mean(shares) < 0.65


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 0.5, 2.0, 20.0])
def test_mixup_draws_its_shares_from_a_beta_distribution(alpha):
    from scipy.stats import beta

    count = 2_000
    out = trained(Mixup(num_classes=count, alpha=alpha), image=pictures(count, size=2), label=np.arange(count))
    assert np.isfinite(out["image"]).all()
    shares = np.sort(out["label"][np.arange(count), np.arange(count)])
    for limit in (0.01, 0.1, 0.4, 0.6, 0.9, 0.99):
        assert abs((shares <= limit).mean() - beta.cdf(limit, alpha, alpha)) < 0.05


@pytest.mark.parametrize("label", [[0, 1, 3], [0, -1, 1]], ids=["above", "below"])
def test_mixup_refuses_a_class_it_does_not_know(label):
    import tensorflow as tf

    mixup = compose([Mixup(num_classes=3)])
    given = {"image": tf.constant(pictures(count=3)), "label": tf.constant(label)}
    mix = tf.function(lambda given: mixup(given, training=True)["label"], autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Mend num_classes of Mixup"):
        mix(given)


def spot(rows, columns, size=21):
    """Returns float32 [B, size, size, 1], each with one bright pixel."""
    image = np.zeros((len(rows), size, size, 1), "float32")
    image[np.arange(len(rows)), rows, columns] = 1
    return image


def centroid(image):
    """Returns [B, 2], the mean row and column of what is bright."""
    weights = image[..., 0] / image[..., 0].sum(axis=(1, 2), keepdims=True)
    return np.stack(
        [(weights.sum(axis=2) * np.arange(21)).sum(axis=1), (weights.sum(axis=1) * np.arange(21)).sum(1)], 1
    )


def test_affine_turns_about_the_centre():
    rows = np.concatenate([np.full(60, 10), RANDOM.integers(4, 17, 60)])
    columns = np.concatenate([np.full(60, 17), RANDOM.integers(14, 18, 60)])
    out = trained(RandomAffine(degrees=30.0, zoom=0.0, pixels=0.0), image=spot(rows, columns))["image"]
    before, after = np.stack([rows, columns], 1) - 10, centroid(out) - 10
    np.testing.assert_allclose(np.hypot(*after.T), np.hypot(*before.T), atol=0.3)
    turned = np.degrees(np.arctan2(*after.T) - np.arctan2(*before.T))
    assert turned.min() < -20
    assert turned.max() > 20
    assert np.abs(turned).max() < 33


def test_affine_scales_about_the_centre():
    image = np.zeros((80, 21, 21, 1), "float32")
    image[:, 5:16, 5:16] = 1  # 11 x 11
    out = trained(RandomAffine(degrees=0.0, zoom=0.3, pixels=0.0), image=image)["image"]
    sizes = np.sqrt(out.sum(axis=(1, 2, 3))) / 11
    assert sizes.min() < 0.8
    assert sizes.max() > 1.2
    assert 0.68 < sizes.min() < sizes.max() < 1.32
    np.testing.assert_allclose(centroid(out), 10, atol=0.05)


def test_affine_moves_by_fractions_of_pixels():
    out = trained(RandomAffine(degrees=0.0, zoom=0.0, pixels=3.0), image=spot(np.full(90, 10), np.full(90, 8)))["image"]
    moves = centroid(out) - [10, 8]
    assert np.abs(moves).max() <= 3.001
    assert moves.min(axis=0).max() < -2
    assert moves.max(axis=0).min() > 2
    assert np.abs(moves - np.round(moves)).max() > 0.3


@pytest.mark.parametrize(("fill", "darkest"), [("constant", 0), ("nearest", 200), ("reflect", 200)])
def test_affine_fills_the_edge_and_keeps_the_dtype(fill, darkest):
    image = np.full((32, 12, 12, 1), 200, "uint8")
    out = trained(RandomAffine(fill=fill, pixels=4.0), image=image)["image"]
    assert out.dtype == np.uint8
    assert (out.min(), out.max()) == (darkest, 200)


def hidden(before, after):
    assert ((after == before) | (after == 0)).all()
    return (after == 0) & (before != 0)


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "one-length"])
def test_spans_stay_within_each_sequence_and_its_share(masked):
    lengths = RANDOM.integers(1, 60, 512) if masked else np.full(512, 60)
    frames = RANDOM.normal(size=(512, 60, 4)).astype("float32") + 10
    mask = np.arange(60) < lengths[:, None]
    frames[~mask] = 0
    feature = SpecAugment(num_spans=1, max_span=12, max_share=0.5, num_bands=0)
    given = {"frames": frames, "padding_mask": mask} if masked else {"frames": frames}
    gone = hidden(frames, trained(feature, **given)["frames"])
    assert (gone.any(axis=2) == gone.all(axis=2)).all()
    gone = gone[:, :, 0]
    spans = gone.sum(axis=1)
    assert (spans <= np.minimum(12, lengths // 2)).all()
    assert spans.max() == 12
    assert len({int(row.argmax()) for row in gone if row.any()}) > 15
    for row in gone:
        places = np.nonzero(row)[0]
        assert len(places) == 0 or np.ptp(places) + 1 == len(places)
    # The last frame is hidden as well as the first.
    assert gone[np.arange(512), lengths - 1].any()
    assert gone[:, 0].any()


def test_bands_hide_neighbouring_values_of_all_frames():
    frames = RANDOM.normal(size=(128, 7, 20)).astype("float32") + 10
    out = trained(SpecAugment(num_spans=0, num_bands=1, max_band=6), frames=frames)["frames"]
    gone = hidden(frames, out)
    assert (gone.any(axis=1) == gone.all(axis=1)).all()
    gone = gone[:, 0]
    assert set(gone.sum(axis=1).tolist()) == set(range(7))
    assert gone.any(axis=0).all()
    two = hidden(frames, trained(SpecAugment(num_spans=0, num_bands=2, max_band=6), frames=frames)["frames"])
    assert two[:, 0].sum(axis=1).max() > 6


def test_a_band_as_wide_as_a_frame_is_refused():
    with pytest.raises(DataError, match="Set its max_band below 8"):
        trained(SpecAugment(), frames=np.ones((2, 5, 8), "float32"))


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (RandomFlip, {"probability": 0.0}),
        (RandomAffine, {"degrees": 181.0}),
        (RandomAffine, {"zoom": 1.0}),
        (RandomAffine, {"pixels": -1.0}),
        (RandomAffine, {"degrees": 0.0, "zoom": 0.0, "pixels": 0.0}),
        (RandomAffine, {"fill": "wrap"}),
        (Cutout, {"pixels": 0}),
        (Mixup, {"num_classes": 1}),
        (Mixup, {"alpha": 0.0, "num_classes": 2}),
        (SpecAugment, {"num_bands": -1}),
        (SpecAugment, {"num_spans": 0, "num_bands": 0}),
        (SpecAugment, {"max_span": 0}),
        (SpecAugment, {"max_share": 0.0}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_values_refused(make, fields):
    with pytest.raises(InvalidValueError, match=next(iter(fields))):
        make(**fields)
