"""The random draws of an epoch of streamed images: by position, without a table of a million rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bnrepro.data.draws import random_stream

TRIES = 10
"""Windows that a random resized crop tries before it takes the centre (torchvision's number)."""
RATIO = (3 / 4, 4 / 3)
"""Narrowest and widest window, width / height."""
WINDOW = slice(0, 2 * TRIES + 2)
FLIP = WINDOW.stop
JITTER = slice(FLIP + 1, FLIP + 4)
LIGHTING = slice(JITTER.stop, JITTER.stop + 4)
BLOCKS = -(-LIGHTING.stop // 4)
"""Philox gives four numbers at a time."""

Window = tuple[int, int, int, int]
"""Top, left, height, width in pixels."""


@dataclass(frozen=True)
class StreamDraws:
    """One epoch: the order is a table; what each position draws is computed from its number (Philox)."""

    order: Tensor
    """`(n,)` int64: which image comes at each position."""
    key: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def uniform(self, positions: np.ndarray) -> np.ndarray:
        """`(n, 4 · BLOCKS)` numbers in [0, 1), those of each position the same whoever asks."""
        rows: list[np.ndarray] = [np.empty((0, 4 * BLOCKS))]
        for run in np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1):
            if len(run):
                generator = np.random.Philox(key=self.key, counter=int(run[0]) * BLOCKS)
                raw = generator.random_raw(4 * BLOCKS * len(run)).reshape(len(run), -1)
                rows.append((raw >> np.uint64(11)) * 2.0**-53)
        return np.concatenate(rows)


def stream_draws(seed: int, epoch: int, images: int, stream: str) -> StreamDraws:
    """The draws of `epoch`: the order is the one that `epoch_table` has for a resident set."""
    order = random_stream("bnrepro-epoch", stream, seed, epoch).permutation(images)
    key = random_stream("bnrepro-positions", stream, seed, epoch).integers(0, 2**64, 2, dtype=np.uint64)
    return StreamDraws(torch.from_numpy(order), key)


def crop_window(uniform: np.ndarray, height: int, width: int, min_area: float) -> Window:
    """A random resized crop of an image: 8–100 % of the area, 3/4 to 4/3 wide (Szegedy et al. 2015).

    Area and the logarithm of the ratio are uniform, as torchvision has them; where no try fits into the
    image, the largest centred square.
    """
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for part, shape in uniform[: 2 * TRIES].reshape(TRIES, 2):
        area = height * width * (min_area + (1 - min_area) * part)
        ratio = math.exp(low + (high - low) * shape)
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = uniform[2 * TRIES : 2 * TRIES + 2]
            return int(top * (height - h + 1)), int(left * (width - w + 1)), h, w
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side
