"""What all norms with statistics over images have in common, and what evaluation may ask of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bnrepro.config.errors import UsageError

Observer = Callable[[Tensor, Tensor], None]
"""Called with mean and biased variance of every group, each `(groups, C)`."""


class BatchStatistics(nn.Module):
    """Base of the norms that normalize with statistics over images.

    In training mode the batch is cut into contiguous groups of `norm_batch_size` images, each with its own
    statistics ("ghost batch norm"); None means one group. Subclasses call `observe` with them in every
    training forward, and touch their running buffers only while `updates_running`.
    """

    averages: ClassVar[tuple[str, ...]] = ()
    """Its buffers that are moving averages: a step updates them once, from the mean over all its groups."""
    windows: ClassVar[tuple[str, ...]] = ()
    """Its buffers that hold the latest groups one by one: what is in them depends on the groups' order."""
    counters: ClassVar[tuple[str, ...]] = ("num_batches_tracked",)
    """Its buffers that count steps. Those of no kind are set by `schedule` or never change."""

    weight: Tensor
    """γ, `(C,)`: a parameter, or a buffer where it is not learned."""
    norm_batch_size: int | None = None
    updates_running: bool = True
    """False in evaluation: the batch's statistics normalize, and no running buffer changes."""
    observer: Observer | None = None
    stacked: bool = False
    """True in a network that is mapped over a stack of models (`torch.func.vmap`), whose images cannot be
    asked for their memory format."""

    def groups(self, images: int) -> int:
        """How many groups `images` images make. Raises ValueError where they do not come out even."""
        size = self.norm_batch_size or images
        if images % size:
            raise ValueError(f"{images} images cannot be cut into normalization batches of {size}")
        return images // size

    def observe(self, mean: Tensor, var: Tensor) -> None:
        """Report each group's mean and biased variance, `(groups, C)`."""
        if self.observer is not None:
            self.observer(mean.detach(), var.detach())

    def population_buffers(self, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
        """What the running buffers are if the population has this mean and variance, each `(C,)`."""
        raise TypeError(f"{type(self).__name__} does not say which moments it keeps")


def batch_statistics_layers(model: nn.Module) -> dict[str, BatchStatistics]:
    """The layers with batch statistics, by their name in the model."""
    return {name: m for name, m in model.named_modules() if isinstance(m, BatchStatistics)}


def buffers_of_kind(model: nn.Module, kind: Literal["averages", "windows", "counters"]) -> list[Tensor]:
    """The buffers of that kind of all layers with batch statistics, in the model's order."""
    layers = batch_statistics_layers(model).values()
    return [getattr(layer, name) for layer in layers for name in getattr(layer, kind)]


@contextmanager
def using_batch_statistics(model: nn.Module) -> Iterator[None]:
    """Normalize with the batch's own statistics, as in training, but leave every running buffer alone."""
    layers = batch_statistics_layers(model).values()
    before = [(layer, layer.training, layer.updates_running) for layer in layers]
    try:
        for layer in layers:
            layer.train()
            layer.updates_running = False
        yield
    finally:
        for layer, training, updates in before:
            layer.train(training)
            layer.updates_running = updates


@contextmanager
def replaced_buffers(model: nn.Module, buffers: dict[str, dict[str, Tensor]]) -> Iterator[None]:
    """Use other running buffers (layer name → buffer name → value) for a while."""
    layers = batch_statistics_layers(model)
    kept = {
        name: {key: getattr(layers[name], key).clone() for key in values} for name, values in buffers.items()
    }
    try:
        _write(layers, buffers)
        yield
    finally:
        _write(layers, kept)


def _write(layers: dict[str, BatchStatistics], buffers: dict[str, dict[str, Tensor]]) -> None:
    with torch.no_grad():
        for name, values in buffers.items():
            for key, value in values.items():
                getattr(layers[name], key).copy_(value)


def check_norm_batch_size(size: int | None) -> None:
    """Raises `UsageError` for a normalization batch of no images."""
    if size is not None and size < 1:
        raise UsageError(f"norm_batch_size={size}: must be 1 or more")
