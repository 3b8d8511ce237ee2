"""Probe `inputs`: how the inputs of norms and activations are distributed, and how far that has moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bnrepro.probes.network import Activation, Look, Network
from bnrepro.probes.registry import PROBES, Probe
from bnrepro.probes.samples import by_unit, number

QUANTILES = {"q15": 0.15, "q50": 0.50, "q85": 0.85}
"""Ioffe & Szegedy 2015, Fig. 1 b and c."""
SATURATED = 0.1
"""Of the derivative's maximum."""
GRID = torch.linspace(-10, 10, 2001, dtype=torch.float64)
"""Where the maximum of an activation's derivative is looked for."""


@PROBES.register("inputs")
class Inputs(Probe):
    """For every norm and every activation of the network, of what enters it:

    `mean`, `sd`, `q15`, `q50`, `q85` of all units pooled, and with `unit_` in front those of one unit, which
    is the one in the middle. `distance` is how far the units have moved since step 0: the 1-Wasserstein
    distance of a unit's values to those it had, averaged over units, over the mean of the units' standard
    deviations at both steps. Activations also have `saturated`: the share of values where the derivative is
    at most a tenth of its maximum (of a ReLU: where it is 0).
    """

    def __init__(self, first: Look) -> None:
        super().__init__(first)
        self._then = {name: sorted_units(x) for name, x in _places(first).items()}

    def measure(self, look: Look, network: Network, after: Network | None) -> dict[str, Any]:
        return {
            "norms": {name: self._layer(name, norm.inputs) for name, norm in look.norms.items()},
            "activations": {
                name: {**self._layer(name, place.inputs), "saturated": _saturated(place)}
                for name, place in look.activations.items()
            },
        }

    def _layer(self, name: str, inputs: Tensor) -> dict[str, float | None]:
        now, then = sorted_units(inputs), self._then[name]
        unit = now[len(now) // 2]
        return {
            **_describe(now.flatten(), ""),
            **_describe(unit, "unit_"),
            "distance": distance(now, then),
        }


def _places(look: Look) -> dict[str, Tensor]:
    norms = {name: norm.inputs for name, norm in look.norms.items()}
    return norms | {name: place.inputs for name, place in look.activations.items()}


def distance(now: Tensor, then: Tensor) -> float | None:
    """Of sorted `(units, values)`: the 1-Wasserstein distance, averaged over units, over the mean sd."""
    moved = (now - then).abs().mean()
    return number(moved / ((now.std(1, correction=0) + then.std(1, correction=0)).mean() / 2))


def sorted_units(x: Tensor) -> Tensor:
    return torch.from_numpy(np.sort(by_unit(x).numpy(), 1))  # ten times as fast as torch's on a CPU


def _describe(values: Tensor, prefix: str) -> dict[str, float | None]:
    found = {"mean": values.mean(), "sd": values.std(correction=0)}
    quantiles = np.quantile(values.numpy(), list(QUANTILES.values()))
    found |= dict(zip(QUANTILES, quantiles, strict=True))
    return {f"{prefix}{name}": number(value) for name, value in found.items()}


def _saturated(place: Activation) -> float | None:
    x = by_unit(place.inputs)
    if not x.isfinite().all():
        return None
    slopes = _slopes(place.module, x)
    return number((slopes <= SATURATED * _slopes(place.module, GRID).max()).double().mean())


def _slopes(activation: nn.Module, x: Tensor) -> Tensor:
    """|σ′(x)| of an activation that works value by value."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        # times 1: an activation in place must not find a leaf
        (slope,) = torch.autograd.grad(activation(x * 1).sum(), x)
    return slope.abs()
