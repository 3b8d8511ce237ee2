"""Probe `correlation`: how alike channels are, and how alike images are, before and after every norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bnrepro.probes.network import Look, Network
from bnrepro.probes.registry import PROBES, Probe
from bnrepro.probes.samples import by_unit, number, sampled


@PROBES.register("correlation")
class Correlation(Probe):
    """For every norm, `before` and `after` it:

    `mean` and `largest` of the absolute correlations between any two channels, over images and places; and
    `images`, the mean absolute cosine between the activations of any two images. Channels that do not vary
    are left out.
    """

    def measure(self, look: Look, network: Network, after: Network | None) -> dict[str, Any]:
        return {
            "before": {name: _alike(norm.inputs) for name, norm in look.norms.items()},
            "after": {name: _alike(norm.outputs) for name, norm in look.norms.items()},
        }


def _alike(x: Tensor) -> dict[str, float | None]:
    channels = by_unit(x)
    channels = channels - channels.mean(1, keepdim=True)
    mean, largest = _products(channels[channels.norm(dim=1) > 0])
    images, _ = _products(sampled(x).flatten(1))
    return {"mean": mean, "largest": largest, "images": images}


def _products(rows: Tensor) -> tuple[float | None, float | None]:
    """Mean and largest absolute cosine between any two rows; None where there are no two."""
    if len(rows) < 2:
        return None, None
    rows = rows / rows.norm(dim=1, keepdim=True)
    cosines = (rows @ rows.T).abs()[*torch.triu_indices(len(rows), len(rows), 1)]
    return number(cosines.mean()), number(cosines.max())
