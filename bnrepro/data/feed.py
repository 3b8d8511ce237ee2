"""What training and evaluation ask of a data set's batches, wherever the images come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

Part = slice | Tensor
"""Some images, by position in an epoch or by index: a slice, or an int64 tensor on the CPU."""
Batch = tuple[Tensor, Tensor]
"""Normalized images `(n, C, H, W)` channels_last and labels `(n,)` int64, both on the feed's device."""


class Feed(Protocol):
    """One split, as batches on a device. Parts may be drawn ahead of their batches."""

    device: torch.device
    chunk_images: int
    """Images that are best asked for at once, in whole steps."""
    image_values: int
    """Numbers of an image: C · H · W."""

    def __len__(self) -> int:
        """Images of the split."""
        ...

    def table(self, seed: int, epoch: int, stream: str = "train") -> Any:
        """The random draws of an epoch. `stream`: another one for every other purpose than training."""
        ...

    def train_batches(self, table: Any, parts: Iterable[Part]) -> Iterator[Batch]:
        """For each part the images at these positions of the epoch, augmented with its draws."""
        ...

    def test_batches(self, parts: Iterable[Part]) -> Iterator[Batch]:
        """For each part the images with these indices, not augmented."""
        ...
