"""Units and their values: what the probes take from a layer's activations."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

PIXELS = 16
"""Places of a map that are looked at, evenly spaced: enough for a distribution over 300 images."""


def sampled(x: Tensor) -> Tensor:
    """`(N, C, …)` to `(N, C, P)` in float64 on the CPU, with P at most 16 places of every map."""
    maps = x.detach().flatten(2) if x.dim() > 2 else x.detach().unsqueeze(2)
    places = maps.shape[2]
    taken = torch.linspace(0, places - 1, min(PIXELS, places), device=maps.device).round().long()
    return maps[:, :, taken].double().cpu()


def by_unit(x: Tensor) -> Tensor:
    """`(N, C, …)` to `(C, values)`: a unit is a channel, its values are those of all images and places."""
    return sampled(x).transpose(0, 1).flatten(1)


def number(value: Any) -> float | None:
    """As JSON has it: None where the number is not finite, as the correlation of a unit that is dead."""
    found = float(value)
    return found if math.isfinite(found) else None
