"""A batch in several forward passes, where memory does not hold it at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.norms.batch_statistics import batch_statistics_layers, buffers_of_kind
from bnrepro.training.task import Task


@dataclass(frozen=True)
class Accumulation:
    """`Gradients` of a process's part of an SGD batch, some images at a time.

    The parts are whole normalization batches, so that every image is normalized with the ones it always is.
    The gradients are the whole batch's, and so are the norms' buffers, by their kind (`BatchStatistics`):
    each part starts from the averages as they were, and their mean is kept, which is the update from the mean
    over all groups, since a moving average is linear; counters count one step; windows run on from part to
    part, as they do over the groups of one batch.
    """

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    task: Task
    images: int
    """Of one forward pass, about: at least one normalization batch."""
    unsynced: Callable[[], AbstractContextManager[None]] = nullcontext
    """Inside it, backward does not yet average the gradients over the processes."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        size = part_size(self.model, self.images, len(x))
        averages, counters = (buffers_of_kind(self.model, kind) for kind in ("averages", "counters"))
        kept = averages + counters
        before = [buffer.clone() for buffer in kept]
        sums = [torch.zeros_like(average) for average in averages]
        parts = list(zip(x.split(size), y.split(size), strict=True))
        outputs = []
        for i, (images, targets) in enumerate(parts):
            _copy(before, kept)
            share = len(images) / len(x)
            with nullcontext() if i == len(parts) - 1 else self.unsynced():
                found = self.forward(images)
                (share * self.task.loss(found, targets, "mean")).backward()
            outputs.append(found.detach())
            for total, average in zip(sums, averages, strict=True):
                total += share * average
        _copy(sums, averages)
        return torch.cat(outputs)


def part_size(model: nn.Module, micro_batch_size: int | None, images: int) -> int:
    """Images of a forward pass, for a batch of `images`: whole normalization batches."""
    if micro_batch_size is None:
        return images
    sizes = (layer.norm_batch_size or images for layer in batch_statistics_layers(model).values())
    group = min(images, max(sizes, default=1))
    return max(1, micro_batch_size // group) * group


@torch.no_grad()
def _copy(values: list[Tensor], into: list[Tensor]) -> None:
    for value, buffer in zip(values, into, strict=True):
        buffer.copy_(value)
