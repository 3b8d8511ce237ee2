"""The default data set."""

import pytest
import torch
from sklearn.datasets import load_digits

from bnrepro.config.errors import UsageError
from bnrepro.data import load_data


def test_all_images_with_their_labels_and_a_stratified_split(data_config):
    dataset = load_data(data_config("digits"))
    assert (dataset.name, dataset.classes) == ("digits", tuple("0123456789"))
    assert dataset.train.images.shape == (1437, 8, 8, 1)
    assert dataset.test.images.shape == (360, 8, 8, 1)
    assert dataset.train.images.dtype == torch.uint8
    assert torch.bincount(dataset.test.labels).tolist() == [36] * 10

    source = load_digits()
    want = sorted(
        (tuple(image.ravel().tolist()), int(label))
        for image, label in zip(source.images, source.target, strict=True)
    )
    splits = (dataset.train, dataset.test)
    have = sorted(
        (tuple((image.double().ravel() * 16 / 255).round().tolist()), int(label))
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )
    assert have == want


def test_values_fill_the_byte(data_config):
    images = load_data(data_config("digits")).train.images
    assert (int(images.min()), int(images.max())) == (0, 255)
    assert torch.equal(images[images > 0].min(), torch.tensor(16, dtype=torch.uint8))  # 255/16, rounded


def test_split_is_the_same_in_every_run(data_config):
    """A split that moved would make every committed number wrong. The sum was taken when it was fixed."""
    dataset = load_data(data_config("digits"))
    weights = torch.arange(1, 361)
    assert int((dataset.test.images.long().sum((1, 2, 3)) * weights).sum()) == 324_888_182


def test_another_size_is_refused(data_config):
    with pytest.raises(UsageError, match=r"data.image_size=16: .*digits"):
        load_data(data_config("digits", image_size=16))
