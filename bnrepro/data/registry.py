"""What a data set is to the rest of the program, and the data sets by name.

A loader is a callable `load(config: DataConfig) -> Dataset`. `load_data` takes the subset that the config
asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, Self

import torch
from torch import Tensor

from bnrepro.config.errors import UsageError
from bnrepro.config.registry import Registry
from bnrepro.config.schema import DataConfig
from bnrepro.data.feed import Feed
from bnrepro.data.subset import balanced_subset


class Images(Protocol):
    """One side of a data set."""

    @property
    def labels(self) -> Tensor:
        """`(N,)` int64."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> Self:
        """The images with these indices, in this order."""
        ...


@dataclass(frozen=True)
class Dataset(ABC):
    """A training and a test set, and how batches come from them."""

    name: str
    """The label of every output, with the kind of copy: "CIFAR-10", "CIFAR-10 (JPEG)", "digits"."""
    classes: tuple[str, ...]
    train: Images
    test: Images
    mean: tuple[float, ...]
    """Per channel, of the whole training set scaled to 0…1: a subset is normalized as the set it is from."""
    std: tuple[float, ...]
    skipped: tuple[str, ...] = ()
    """Files left out under `data.skip_corrupt`, relative to `data.root`."""

    @property
    @abstractmethod
    def in_channels(self) -> int:
        """Channels of an image: 3 for RGB."""

    @abstractmethod
    def feeds(self, config: DataConfig, device: torch.device) -> tuple[Feed, Feed]:
        """Batches of the training and of the test set on `device`."""

    def parity(self) -> Dataset:
        """The same images with two classes: is the number of the image's class odd?

        Of digits a linear network gets 8 % wrong, and one that is not linear nearly none.
        """
        raise UsageError(f"data.task=parity: only of data sets in memory; {self.name} is streamed")


Loader = Callable[[DataConfig], Dataset]

DATA = Registry[Loader]("data")
"""Every data set of the package by the name that configs and the command line use."""
register = DATA.register


OWN = "own"
"""The data set that `data.factory` makes, whatever its YAML is called."""


@lru_cache(maxsize=4)
def load_data(config: DataConfig) -> Dataset:
    """The data set that `config` describes, its training set cut to `config.train_subset`.

    Kept per process: the next cell of a sweep in the same worker costs nothing. Files that change under
    a running process are seen by the next one. Raises `UsageError` for what the user can repair.
    """
    dataset = DATA.find(config.name if config.factory is None else OWN)(config)
    if config.task == "parity":
        dataset = dataset.parity()
    if config.train_subset is None:
        return dataset
    indices = balanced_subset(dataset.train.labels, config.train_subset, config.subset_seed)
    return replace(dataset, train=dataset.train.take(indices))


_GIVEN = {
    "image_size": "the images of {name} have one size; leave it null, or use data=image_folder",
    "test_images": "{name} comes with its own test set; leave it null",
}


def refuse_keys(config: DataConfig, *keys: str) -> None:
    """Raises `UsageError` where one of `keys` is set for a data set in which it is given."""
    for key in keys:
        if (value := getattr(config, key)) is not None:
            raise UsageError(f"data.{key}={value}: {_GIVEN[key].format(name=config.name)}")
