"""The moments of every layer with batch statistics, collected from forward passes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.norms.moments import Moments
from bnrepro.training.process.distributed import World


class LayerMoments(dict[str, Moments]):
    """Moments by layer name."""

    def sum_over(self, world: World) -> None:
        """Add what the other processes have seen."""
        for moments in self.values():
            first = moments.tensors()[0]
            groups = torch.tensor(moments.groups, device=first.device)
            world.sum_(groups, *moments.tensors())
            moments.groups = int(groups)

    def population_buffers(self, model: nn.Module) -> dict[str, dict[str, Tensor]]:
        """The running buffers that each layer would have, had it seen the whole population at once."""
        layers = batch_statistics_layers(model)
        return {name: layers[name].population_buffers(m.mean, m.var) for name, m in self.items()}

    def distances(self, model: nn.Module) -> dict[str, dict[str, float]]:
        """Per layer: how far the running buffers are from the precise ones, and the mini-batch spread.

        Distances are ‖running − precise‖ / ‖precise‖ over the channels; for means, relative to the
        population's standard deviation, since a mean may be 0. What is not finite is left out: a network on
        the verge of diverging has images whose variance exceeds float32.
        """
        layers = batch_statistics_layers(model)
        summary = {}
        for name, moments in self.items():
            spread_mean, spread_var = moments.spread()
            summary[name] = {"spread_mean": spread_mean, "spread_var": spread_var}
            for key, precise in layers[name].population_buffers(moments.mean, moments.var).items():
                running = getattr(layers[name], key).double()
                unit = moments.var.clamp_min(0).sqrt() if key.endswith("mean") else precise
                distance = (running - precise).norm() / unit.norm().clamp_min(1e-30)
                summary[name][f"distance_{key.removeprefix('running_')}"] = distance.item()
        return {
            name: {key: value for key, value in values.items() if math.isfinite(value)}
            for name, values in summary.items()
        }


@contextmanager
def observed_moments(model: nn.Module) -> Iterator[LayerMoments]:
    """Collect every layer's moments from the forward passes inside the block."""
    layers = batch_statistics_layers(model)
    moments = LayerMoments(
        {name: Moments(layer.weight.numel(), layer.weight.device) for name, layer in layers.items()}
    )
    before = {name: layer.observer for name, layer in layers.items()}

    try:
        for name, layer in layers.items():
            layer.observer = moments[name].add
        yield moments
    finally:
        for name, layer in layers.items():
            layer.observer = before[name]
