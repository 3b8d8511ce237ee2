"""A batch in several forward passes, where memory does not hold it at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.training.task import Task


@dataclass(frozen=True)
class Accumulation:
    """`Gradients` of a process's part of an SGD batch, some images at a time.

    The parts are whole normalization batches, so that every image is normalized with the ones it always is.
    The gradients are the whole batch's, and the running statistics get one update from all of it: each part
    starts from the buffers as they were, and their mean is kept. A moving average is linear, so this is the
    update from the mean.
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
        averages = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        before = [average.clone() for average in averages]
        sums = [torch.zeros_like(average) for average in averages]
        parts = list(zip(x.split(size), y.split(size), strict=True))
        outputs = []
        for i, (images, targets) in enumerate(parts):
            _copy(before, averages)
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
