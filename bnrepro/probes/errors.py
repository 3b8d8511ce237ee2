"""Probe `errors`: loss and error in evaluation, more often than at the end of an epoch."""

from __future__ import annotations

from typing import Any

from bnrepro.probes.network import Look, Network
from bnrepro.probes.registry import PROBES, Probe
from bnrepro.probes.samples import number


@PROBES.register("errors")
class Errors(Probe):
    """For `train`, the probe batch, and `test`, all test images:

    `loss`, the mean, and `error` in percent of the network in evaluation, with running statistics and
    without dropout. Between equal training losses, test errors compare how well networks generalize.
    """

    needs_pass = False

    def measure(self, look: Look, network: Network, after: Network | None) -> dict[str, Any]:
        return {
            images: {quantity: number(value) for quantity, value in values.items()}
            for images, values in network.evaluate(network.model).items()
        }
