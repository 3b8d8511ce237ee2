"""Probe `moves`: how far the inputs of norms and activations move in one training step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bnrepro.probes.inputs import distance, sorted_units
from bnrepro.probes.network import Look, Network, look
from bnrepro.probes.registry import PROBES, Probe


@PROBES.register("moves")
class Moves(Probe):
    """For every norm and every activation, of what enters it:

    `distance`, as that of `inputs`, between the network and what the next step makes of it. From the first
    step, a distribution that is thrown to and fro around one place seems to stand still; here it does not.
    A pass forward and backward.
    """

    needs_next_step = True

    def measure(self, look_now: Look, network: Network, after: Network | None) -> dict[str, Any]:
        if after is None:
            return {}
        then = look(after)
        return {
            "norms": _distances(
                {name: norm.inputs for name, norm in look_now.norms.items()},
                {name: norm.inputs for name, norm in then.norms.items()},
            ),
            "activations": _distances(
                {name: place.inputs for name, place in look_now.activations.items()},
                {name: place.inputs for name, place in then.activations.items()},
            ),
        }


def _distances(now: dict[str, Tensor], then: dict[str, Tensor]) -> dict[str, dict[str, float | None]]:
    return {name: {"distance": distance(sorted_units(now[name]), sorted_units(then[name]))} for name in now}
