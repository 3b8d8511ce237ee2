"""The images that the benchmark trains on."""

from __future__ import annotations

from functools import lru_cache

import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data import ResidentDataset, Split, load_data

IMAGES, SIZE, CLASSES = 10_240, 32, 10
TEST_IMAGES = 1_000


@lru_cache(maxsize=1)
def bench_images(config: DataConfig) -> ResidentDataset:
    """The data set in `data.root`; without one, random images of CIFAR-10's form: speed does not see them.

    Raises `UsageError` for a data set that is not kept in memory.
    """
    if config.root is None:
        return _random_images(config.image_size or SIZE)
    dataset = load_data(config)
    if not isinstance(dataset, ResidentDataset):
        raise UsageError(f"data={config.name}: is streamed; bench takes data sets that are kept in memory")
    return dataset


def _random_images(size: int) -> ResidentDataset:
    generator = torch.Generator().manual_seed(0)

    def split(images: int) -> Split:
        shape = (images, size, size, 3)
        return Split(
            torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
            torch.randint(0, CLASSES, (images,), generator=generator),
        )

    return ResidentDataset(
        name=f"random images {size}x{size}",
        classes=tuple(map(str, range(CLASSES))),
        train=split(IMAGES),
        test=split(TEST_IMAGES),
        mean=(0.5, 0.5, 0.5),
        std=(0.29, 0.29, 0.29),
    )
