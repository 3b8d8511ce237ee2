"""A data set of files: listed, not decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from bnrepro.config.schema import DataConfig
from bnrepro.data.feed import Feed
from bnrepro.data.registry import Dataset
from bnrepro.data.streaming.colour import Colour
from bnrepro.data.streaming.feed import StreamFeed
from bnrepro.data.streaming.listing import FileSplit
from bnrepro.data.streaming.loader import LoaderReader
from bnrepro.data.streaming.requests import Reader


@dataclass(frozen=True)
class StreamedDataset(Dataset):
    """Images that are read while training."""

    train: FileSplit
    test: FileSplit

    @property
    def in_channels(self) -> int:
        return 3

    def feeds(self, config: DataConfig, device: torch.device) -> tuple[Feed, Feed]:
        assert config.stream is not None  # the loaders saw to it
        colour = Colour(self.mean, self.std, config.stream.jitter, config.stream.lighting, device)
        sides = {"train": self.train, "test": self.test}
        reader = _reader(sides, config, device)
        train, test = (
            StreamFeed(side, split.labels, reader, colour, config.augment) for side, split in sides.items()
        )
        return train, test


def _reader(sides: Mapping[str, FileSplit], config: DataConfig, device: torch.device) -> Reader:
    assert config.stream is not None  # the loaders saw to it
    if config.stream.feed == "dali":
        from bnrepro.data.streaming.dali import DaliReader  # an optional dependency

        return DaliReader(sides, config, device)
    return LoaderReader(sides, config, device)
