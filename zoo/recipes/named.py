"""The named recipes: all their numbers, each in its function, which `zoo.registry.RECIPES` names."""

from __future__ import annotations

import dataclasses

from zoo.compression.cluster import Cluster
from zoo.compression.distill import Distill
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import Quantize
from zoo.compression.quantize_aware import QuantizeAware
from zoo.compression.round_vectors import RoundVectors
from zoo.features.augmentation import RandomShift
from zoo.recipes.recipe import Flight, Ladder, Recipe

__all__ = ["clustered", "deep", "edge", "fast", "pruned", "pruned_clustered", "small", "tiny"]


def pruned() -> Recipe:
    """Returns 80% zeros."""
    return Recipe(transforms=(Prune(sparsity=0.8),))


def clustered() -> Recipe:
    """Returns 32 shared values in each tensor."""
    return Recipe(transforms=(Cluster(num_clusters=32),))


def pruned_clustered() -> Recipe:
    """Returns 80% zeros, then 32 shared values in each tensor, zero among them."""
    return Recipe(transforms=(Prune(sparsity=0.8), Cluster(num_clusters=32)))


def deep() -> Recipe:
    """Returns what made the models of `zoo bench artifact` small: most weights zero, the others of few shared values.

    One threshold for all layers leaves the last layers denser; the network that is left, too small to overfit as its
    dense self did, trains without dropout and learns from it. arXiv 1510.00149 (deep compression) with 1503.02531.
    """
    return Recipe(
        transforms=(Prune(0.94, scope="global", end=0.4), Cluster(5), RoundVectors()),
        epochs=(30, 8),
        learning_rate=(2e-3, 1e-3),
        distill=Distill(weight=0.3, temperature=2.0),
        dropout=0.0,
    )


def deep_images() -> Recipe:
    """Returns `deep` on images moved by a pixel at random, where a few weights learn more than from the same ones."""
    return dataclasses.replace(deep(), augment=(RandomShift(pixels=1),))


def small() -> Ladder:
    """Returns moderate pruning, then 8 bits or 32 shared values: quick, and safe for any family."""
    zeros = (0.5, 0.7, 0.8)
    pruning = tuple(Recipe(transforms=(Prune(share),), epochs=2, min_steps=400, learning_rate=1e-3) for share in zeros)
    few_values = (
        Recipe(transforms=(Quantize("int8"),)),
        Recipe(transforms=(Cluster(32),), epochs=1, min_steps=200),
    )
    return Ladder(
        flights=(Flight(rungs=pruning), Flight(rungs=few_values, is_warm=False)),
        fallback=Recipe(transforms=(Quantize("int8"),)),
    )


def tiny() -> Ladder:
    """Returns as many zeros as hold, by one threshold for all layers, then as few shared values as hold.

    Each rung learns from the dense model, without dropout, as `deep` does; biases and scales are rounded at the end.
    """
    zeros = (0.8, 0.9, 0.94, 0.96, 0.97, 0.98)
    values = (32, 16, 8, 5)
    before = (0.0, *zeros[:-1])
    pruning = tuple(
        Recipe(
            transforms=(Prune(share, initial_sparsity=start, scope="global", end=0.4),),
            epochs=10,
            min_steps=800,
            learning_rate=2e-3,
            distill=Distill(),
            dropout=0.0,
        )
        for start, share in zip(before, zeros, strict=True)
    )
    clustering = tuple(
        Recipe(
            transforms=(Cluster(number),),
            epochs=6,
            min_steps=400,
            learning_rate=1e-3,
            distill=Distill(),
            dropout=0.0,
        )
        for number in values
    )
    rounding = Recipe(transforms=(RoundVectors(),))
    return Ladder(
        flights=(
            Flight(rungs=pruning),
            Flight(rungs=clustering, is_warm=False),
            Flight(rungs=(rounding,)),
        ),
        fallback=Recipe(transforms=(Quantize("int8"), RoundVectors())),
    )


def fast() -> Ladder:
    """Returns a model of fewer channels, a fifth of those left removed by each rung, normalisations folded."""
    share, number = 0.2, 6
    rung = Recipe(
        transforms=(PruneChannels(share, min_channels=2),),
        epochs=4,
        min_steps=400,
        learning_rate=1e-3,
        distill=Distill(),
    )
    return Ladder(flights=(Flight(rungs=(rung,) * number), Flight(rungs=(Recipe(transforms=(FoldBatchNorm(),)),))))


def edge() -> Ladder:
    """Returns weights and activations of 8 bits with normalisations folded, for LiteRT's full integer form."""
    rung = Recipe(
        transforms=(FoldBatchNorm(), QuantizeAware("int8", activations="int8")),
        epochs=4,
        min_steps=400,
        learning_rate=2e-4,
        distill=Distill(),
    )
    return Ladder(
        flights=(Flight(rungs=(rung,)),),
        fallback=Recipe(transforms=(FoldBatchNorm(), Quantize("int8"))),
    )
