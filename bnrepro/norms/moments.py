"""Means and variances of what a batch norm sees: over the population, and how they spread over groups."""

from __future__ import annotations

import torch
from torch import Tensor


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

    def tensors(self) -> list[Tensor]:
        """The sums, to be added up over processes in place."""
        return list(self._sums.values())

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
