"""Class-balanced subsets of a set of labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.errors import UsageError


def balanced_subset(labels: Tensor, size: int, seed: int) -> Tensor:
    """Indices `(size,)` int64, ascending, of images that make the classes as equal as possible.

    `labels: (N,)`. Depends on nothing but the labels and `seed`; a smaller subset of the same seed lies
    within a larger one. Classes with too few images give all they have, the others make up for them.
    Raises `UsageError` where `size` is not within 1…N.
    """
    if not 1 <= size <= len(labels):
        raise UsageError(
            f"data.train_subset={size}: the training set has {len(labels)} images; "
            f"give a number from 1 to {len(labels)}, or null for all"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    classes = labels.numpy()[shuffled]
    # The first images of all classes come first, then the second ones, …: each class's rank in the shuffle.
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Which classes get one image more where `size` does not divide evenly is drawn too.
    turn = rng.permutation(len(counts))[classes]
    taken = shuffled[np.lexsort((turn, rank))[:size]]
    return torch.from_numpy(np.sort(taken))
