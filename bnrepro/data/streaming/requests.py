"""What training asks the readers for: some images, by index, with the draws of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from torch import Tensor

from bnrepro.data.streaming.decoder import Decoder

UNIT = 32
"""Images that a reader is asked for at once: large enough to pay for the way, small enough to share out."""


@dataclass(frozen=True)
class Request:
    side: str
    """`train` or `test`."""
    indices: np.ndarray
    """`(n,)` int64, in the split."""
    uniform: np.ndarray | None
    """`(n, …)`: a row of `StreamDraws` for each; None: as in evaluation."""
    is_last: bool = True
    """Does the batch end with it?"""

    def units(self) -> Iterator[Request]:
        """The same in parts of `UNIT` images."""
        for start in range(0, len(self.indices), UNIT):
            part = slice(start, start + UNIT)
            uniform = None if self.uniform is None else self.uniform[part]
            is_last = start + UNIT >= len(self.indices)
            yield replace(self, indices=self.indices[part], uniform=uniform, is_last=is_last)


class StreamSplit(Protocol):
    """One side of a data set whose images are read while training."""

    @property
    def labels(self) -> Tensor:
        """`(N,)` int64."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> Self:
        """The images with these indices, in this order."""
        ...

    def crop(self, index: int, uniform: np.ndarray | None, decoder: Decoder) -> Tensor:
        """What a network sees of an image, `(3, crop_size, crop_size)` uint8.

        `uniform`: as in `Decoder.train_crop`; None: as in evaluation. Raises `UsageError` naming what cannot
        be read.
        """
        ...


class Reader(Protocol):
    """Turns requests into pixels, ahead of whoever takes them."""

    def images(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """For each request `(n, 3, crop_size, crop_size)` uint8, on any device.

        Good until the next is asked for. Raises `UsageError` naming a file that is not a whole image.
        """
        ...


def unreadable(path: Path, reason: str) -> str:
    """The line for a file that is not a whole image."""
    return f"data.root: {path} is not a readable image ({reason}); repair it or remove it"
