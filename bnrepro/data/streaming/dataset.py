"""A data set of files: listed, not decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import DataConfig
from bnrepro.data.feed import Feed
from bnrepro.data.registry import Dataset
from bnrepro.data.streaming.colour import Colour
from bnrepro.data.streaming.feed import StreamFeed
from bnrepro.data.streaming.listing import FileSplit
from bnrepro.data.streaming.loader import LoaderReader
from bnrepro.data.streaming.requests import Reader, StreamSplit

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training images in 0…1, per channel, as everybody has them (fb.resnet.torch, torchvision)."""


@dataclass(frozen=True)
class StreamedDataset(Dataset):
    """Images that are read while training."""

    train: StreamSplit
    test: StreamSplit

    @property
    def in_channels(self) -> int:
        return 3

    def feeds(self, config: DataConfig, device: torch.device) -> tuple[Feed, Feed]:
        assert config.stream is not None  # the loaders saw to it
        colour = Colour(self.mean, self.std, config.stream.jitter, config.stream.lighting, device)
        sides = {"train": self.train, "test": self.test}
        reader = _reader(sides, config, device)
        values = self.in_channels * config.stream.crop_size**2
        train, test = (
            StreamFeed(side, split.labels, reader, colour, config.augment, values)
            for side, split in sides.items()
        )
        return train, test


def _reader(sides: Mapping[str, StreamSplit], config: DataConfig, device: torch.device) -> Reader:
    assert config.stream is not None  # the loaders saw to it
    if config.stream.feed == "dali":
        from bnrepro.data.streaming.dali import DaliReader  # an optional dependency

        files = {side: split for side, split in sides.items() if isinstance(split, FileSplit)}
        if len(files) < len(sides):
            raise UsageError(
                f"data.stream.feed=dali: reads files only, and {config.factory} gives images; set "
                "data.stream.feed=torch"
            )
        return DaliReader(files, config, device)
    return LoaderReader(sides, config, device)
