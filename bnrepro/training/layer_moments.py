"""Means and variances that batch norm's layers see: over the population, and how they spread over batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.training.process.distributed import World


class Moments:
    """Running sums over equal groups of one layer's group means and biased variances, in float64."""

    def __init__(self, channels: int, device: torch.device) -> None:
        self.groups = 0
        self._sums = {
            key: torch.zeros(channels, dtype=torch.float64, device=device) for key in ("m", "mm", "v", "vv")
        }

    def add(self, mean: Tensor, var: Tensor) -> None:
        """`mean`, `var`: `(groups, C)`."""
        mean, var = mean.double(), var.double()
        self.groups += mean.shape[0]
        for key, values in {"m": mean, "mm": mean.square(), "v": var, "vv": var.square()}.items():
            self._sums[key] += values.sum(0)

    def sum_over(self, world: World) -> None:
        """Add what the other processes have seen."""
        groups = torch.tensor(self.groups, device=self._sums["m"].device)
        world.sum_(groups, *self._sums.values())
        self.groups = int(groups)

    def _mean(self, key: str) -> Tensor:
        return self._sums[key] / self.groups

    @property
    def mean(self) -> Tensor:
        """μ = E[μ_B], `(C,)`."""
        return self._mean("m")

    @property
    def var(self) -> Tensor:
        """σ² = E[μ_B² + σ_B²] − E[μ_B]² with the biased σ_B², `(C,)`: the variance of all values."""
        return self._mean("mm") + self._mean("v") - self.mean.square()

    def spread(self) -> tuple[float, float]:
        """How far the mini-batch statistics scatter over the groups, averaged over the channels.

        The standard deviation of μ_B in units of the population's σ (for independent values it is
        1/√m, m values per group), and that of σ²_B in units of its own mean.
        """
        sd_mean = (self._mean("mm") - self.mean.square()).clamp_min(0).sqrt()
        sd_var = (self._mean("vv") - self._mean("v").square()).clamp_min(0).sqrt()
        return _ratio(sd_mean, self.var.clamp_min(0).sqrt()), _ratio(sd_var, self._mean("v"))


def _ratio(value: Tensor, unit: Tensor) -> float:
    """The mean over the channels that are alive: a channel that is constant has no unit."""
    alive = unit > 0
    return (value[alive] / unit[alive]).mean().item() if alive.any() else 0.0


class LayerMoments(dict[str, Moments]):
    """Moments by layer name."""

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
