"""Probe `gradients`: how large the gradients are in every layer."""

from __future__ import annotations

from typing import Any

from bnrepro.probes.network import Look, Network
from bnrepro.probes.registry import PROBES, Probe
from bnrepro.probes.samples import number


@PROBES.register("gradients")
class Gradients(Probe):
    """For every layer with a weight the Euclidean norms of two gradients of the probe batch's mean loss:

    `weight` by the layer's weight, and `output` by what the layer returns. Where they fall with the depth,
    low layers learn nothing (Glorot & Bengio 2010, §4).
    """

    def measure(self, look: Look, network: Network, after: Network | None) -> dict[str, Any]:
        return {
            name: {
                "weight": number(layer.gradient.double().norm()),
                "output": number(layer.output_gradient.double().norm()),
            }
            for name, layer in look.weights.items()
        }
