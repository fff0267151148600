"""Rotary attention: products depend on distance alone; pooling by a learned query: a weighted mean of what is data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.attention import MaskedAttentionPooling, MatMulAttention, RotaryAttention, rotated


def vectors(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_products_of_rotated_vectors_depend_on_their_distance_alone():
    query, key = (np.tile(vectors((1, 1, 2, 6), seed), (1, 12, 1, 1)) for seed in (1, 2))
    turned = [np.asarray(rotated(x)) for x in (query, key)]
    products = np.einsum("bthk,bshk->bhts", *turned)[0]
    for distance in (-5, 0, 1, 7):
        diagonal = np.diagonal(products, distance, axis1=1, axis2=2)
        np.testing.assert_allclose(diagonal, diagonal[:, :1] * np.ones_like(diagonal), atol=1e-5)
    assert np.abs(products[:, 0, 3] - products[:, 0, 4]).max() > 1e-3, "and it does depend on it"


def test_rotation_keeps_lengths():
    x = vectors((2, 5, 2, 4))
    np.testing.assert_allclose(np.linalg.norm(np.asarray(rotated(x)), axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_attention_by_products_of_matrices_is_that_of_keras(causal, dropout):
    x, y, mask = vectors((3, 5, 8)), vectors((3, 5 if causal else 7, 8), 1), np.arange(3)[:, None] + 2
    mask = np.arange(y.shape[1]) < mask
    keras_own, ours = (kind(2, 4, dropout=dropout) for kind in (keras.layers.MultiHeadAttention, MatMulAttention))
    for layer in (keras_own, ours):
        layer(x, y)
    ours.set_weights(keras_own.get_weights())
    given = {"key_mask": mask, "use_causal_mask": causal, "return_attention_scores": True}
    expected, scores = keras_own(x, y, **given)
    answer, weights = ours(x, y, **given)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    np.testing.assert_allclose(weights, scores, atol=1e-6)
    assert not np.asarray(weights)[0, :, :, 2:].any()
    if dropout:
        assert np.abs(np.asarray(ours(x, y, training=True)) - np.asarray(ours(x, y))).max() > 1e-3


def test_order_counts_with_rotation_only():
    x = vectors((1, 6, 8))
    plain = keras.layers.MultiHeadAttention(2, 4)
    rotary = RotaryAttention(2, 4)
    for layer in (plain, rotary):
        layer(x, x)
    rotary.set_weights(plain.get_weights())
    swapped = x[:, [1, 0, 2, 3, 4, 5]]
    for layer, is_blind in ((plain, True), (rotary, False)):
        there, back = np.asarray(layer(x, x)), np.asarray(layer(swapped, swapped))
        assert np.allclose(there[:, 2:], back[:, 2:], atol=1e-5) == is_blind


def test_pooling_is_a_softmax_over_frames_that_are_data():
    x, mask = vectors((3, 4, 6)), np.array([[True] * 4, [True, True, False, False], [False] * 4])
    layer = MaskedAttentionPooling()
    pooled = np.asarray(layer(tf.constant(x), tf.constant(mask)))
    scores = x @ layer.query.numpy() / np.sqrt(6)
    for row, length in ((0, 4), (1, 2)):
        odds = np.exp(scores[row, :length])
        np.testing.assert_allclose(pooled[row], odds / odds.sum() @ x[row, :length], atol=1e-5)
    assert not pooled[2].any()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(pooled[0], x[0].mean(axis=0), atol=1e-3)
