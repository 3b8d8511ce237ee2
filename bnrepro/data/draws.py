"""The random streams: an epoch's draws, the order of evaluation, and the process's global generators.

An epoch's draws are a table made on the CPU from (seed, epoch) and indexed by position in the epoch, so that
a cell means the same run on any device, alone or in a sweep.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bnrepro.config.errors import check_choice
from bnrepro.config.validate import AUGMENTATIONS


@dataclass(frozen=True)
class EpochTable:
    """The draws of one epoch, each `(n,)`, made on the CPU: entry i belongs to its i-th image."""

    order: Tensor
    """int64: which image comes at each position."""
    dy: Tensor
    """int64, 0…2·padding: first row of the crop in the padded image; `padding` is the image itself."""
    dx: Tensor
    """int64, 0…2·padding: first column of the crop."""
    flip: Tensor
    """bool: mirrored left to right, after the crop."""

    def __len__(self) -> int:
        return len(self.order)

    def to(self, device: torch.device) -> EpochTable:
        return EpochTable(*(draws.to(device) for draws in (self.order, self.dy, self.dx, self.flip)))


def set_seed(seed: int) -> None:
    """Set the process's global generators, as `torch.manual_seed` does for the CPU and CUDA.

    Where CUDA has not begun, that keeps a formatted stack of every call: a millisecond or two each.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def random_stream(*names: object) -> np.random.Generator:
    """A generator of its own for these names.

    Seeded with 256 bits of their hash: sums such as seed + epoch share streams between seeds, and torch's
    CPU generator keeps only 32 bits of its seed.
    """
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def epoch_table(
    seed: int, epoch: int, images: int, padding: int, augment: str, stream: str = "train"
) -> EpochTable:
    """The draws of `epoch` for a set of `images` images.

    `augment`: `none`, `crop` (a window of the image's size at a random place of the image with `padding`
    zero pixels around it) or `crop_flip` (and mirrored in half of the cases). `stream` keeps draws for
    another purpose apart: statistics `precise` have an order and crops of their own. Equal arguments give
    equal tables; the order does not depend on `augment`. Raises `UsageError` for another `augment`.
    """
    check_choice("data.augment", augment, AUGMENTATIONS)
    rng = random_stream("bnrepro-epoch", stream, seed, epoch)
    order = torch.from_numpy(rng.permutation(images))
    if augment == "none":
        unmoved = torch.full((images,), padding)
        return EpochTable(order, unmoved, unmoved, torch.zeros(images, dtype=torch.bool))
    offsets = torch.from_numpy(rng.integers(0, 2 * padding + 1, size=(2, images)))
    flip = torch.from_numpy(rng.random(images) < 0.5)
    return EpochTable(order, offsets[0], offsets[1], flip & (augment == "crop_flip"))


def evaluation_order(images: int) -> Tensor:
    """One shuffled order `(images,)` int64 that depends on nothing but the number of images.

    For statistics `batch`: test sets are sorted by class, and a batch of one class has other statistics.
    """
    return torch.from_numpy(random_stream("bnrepro-evaluation", images).permutation(images))
