"""scikit-learn's handwritten digits: real, bundled, no download."""

from __future__ import annotations

import numpy as np
import torch

from bnrepro.config.schema import DataConfig
from bnrepro.data.registry import Dataset, refuse_image_size, register
from bnrepro.data.resident import ResidentDataset, Split, channel_moments
from bnrepro.data.subset import balanced_subset

TEST_IMAGES = 360
"""36 of each digit; the other 1437 are the training set."""
SPLIT_SEED = 0
"""Of the split between the two, which is the same in every run."""


@register("digits")
def load_digits(config: DataConfig) -> Dataset:
    """1797 images of 8×8 pixels, 1 channel, 10 classes (Alpaydin & Kaynak 1998, the test part of UCI's set).

    The source's values 0…16 are scaled to 0…255. The source has no split: 360 images, the same number of
    each class, are drawn for the test set once and for all. Writers are not kept apart, as scikit-learn's
    copy does not name them.
    """
    from sklearn.datasets import load_digits as load_bunch

    refuse_image_size(config)
    bunch = load_bunch()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(-1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    test = balanced_subset(labels, TEST_IMAGES, SPLIT_SEED)
    is_train = torch.ones(len(labels), dtype=torch.bool)
    is_train[test] = False
    train = Split(images[is_train], labels[is_train])
    mean, std = channel_moments(train.images)
    return ResidentDataset(
        name="digits",
        classes=tuple(str(digit) for digit in bunch.target_names),
        train=train,
        test=Split(images[test], labels[test]),
        mean=mean,
        std=std,
    )
