"""The tutorial loop must do the same work as ours: else a comparison with it says nothing."""

import torch

from bnrepro.bench.images import bench_images
from bnrepro.bench.tutorial import image_set
from bnrepro.config.compose import compose_config
from bnrepro.data import load_data


def test_its_images_are_ours_or_their_mirror() -> None:
    config = compose_config(["data=cifar10", "data.padding=0"]).data
    images = image_set(config)
    feed, _ = bench_images(config).feeds(config, torch.device("cpu"))
    ours, labels = next(feed.test_batches([slice(0, 8)]))
    mirrored = 0
    for index in range(8):
        image, label = images[index]
        assert label == labels[index]
        flipped = torch.allclose(image.flip(-1), ours[index], atol=1e-5)
        mirrored += flipped
        assert flipped or torch.allclose(image, ours[index], atol=1e-5)
    assert len(images) == len(feed)
    assert mirrored < 8


def test_its_crops_have_black_borders_as_ours() -> None:
    config = compose_config(["data=cifar10", "data.augment=crop", "data.padding=40"]).data
    image, _ = image_set(config)[0]  # most of these windows lie outside of the image
    dataset = bench_images(config)
    black = -torch.tensor(dataset.mean) / torch.tensor(dataset.std)
    assert image.shape == (3, 32, 32)
    assert image.flatten(1).min(1).values.allclose(black, atol=1e-5)


def test_without_augmentation_it_has_none() -> None:
    config = compose_config(["data=cifar10", "data.augment=none"]).data
    images = image_set(config)
    assert torch.equal(images[3][0], images[3][0])


def test_without_a_root_there_are_random_images_and_no_download() -> None:
    config = compose_config(["data=cifar10"]).data
    dataset = bench_images(config)
    assert dataset.name == "random images 32x32"
    assert load_data.cache_info().currsize == 0 or config.root is None
