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

from bnrepro.config.errors import UsageError, check_choice
from bnrepro.config.schema import DataConfig
from bnrepro.data.feed import Feed
from bnrepro.data.resident import ResidentFeed
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
class Split:
    """Images `(N, H, W, C)` uint8 and their labels `(N,)` int64."""

    stored: Tensor
    """`(M, H, W, C)` uint8: the images, or more than those."""
    labels: Tensor
    rows: Tensor | None = None
    """Of a subset: which of the stored images are its own, `(N,)` int64. What is stored is not copied: it may
    be mapped into memory, and shared with other processes."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """A subset's are copied."""
        return self.stored if self.rows is None else self.stored[self.rows]

    def take(self, indices: Tensor) -> Split:
        rows = indices if self.rows is None else self.rows[indices]
        return Split(self.stored, self.labels[indices], rows)


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


@dataclass(frozen=True)
class ResidentDataset(Dataset):
    """A data set in memory, or mapped into it: the pages are shared between processes."""

    train: Split
    test: Split

    @property
    def in_channels(self) -> int:
        return self.train.stored.shape[-1]

    def feeds(self, config: DataConfig, device: torch.device) -> tuple[Feed, Feed]:
        def feed(split: Split) -> ResidentFeed:
            return ResidentFeed(split, self.mean, self.std, config.padding, config.augment, device)

        return feed(self.train), feed(self.test)


Loader = Callable[[DataConfig], Dataset]

DATA: dict[str, Loader] = {}


def register(name: str) -> Callable[[Loader], Loader]:
    """Decorator: put a loader into `DATA` under `name`."""

    def add(loader: Loader) -> Loader:
        if name in DATA:
            raise ValueError(f"two data sets are called {name!r}")
        DATA[name] = loader
        return loader

    return add


@lru_cache(maxsize=4)
def load_data(config: DataConfig) -> Dataset:
    """The data set that `config` describes, its training set cut to `config.train_subset`.

    Kept per process: the next cell of a sweep in the same worker costs nothing. Files that change under
    a running process are seen by the next one. Raises `UsageError` for what the user can mend.
    """
    check_choice("data", config.name, sorted(DATA))
    dataset = DATA[config.name](config)
    if config.train_subset is None:
        return dataset
    indices = balanced_subset(dataset.train.labels, config.train_subset, config.subset_seed)
    return replace(dataset, train=dataset.train.take(indices))


def refuse_image_size(config: DataConfig) -> None:
    """Raises `UsageError` where `data.image_size` is set for a data set of one given size."""
    if config.image_size is not None:
        raise UsageError(
            f"data.image_size={config.image_size}: the images of {config.name} have one size; "
            "leave it null, or use data=image_folder"
        )
