"""What a probe is, and the probes by name. A probe is one file of this package with a registered class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from bnrepro.config.registry import Registry
from bnrepro.probes.network import Look, Network


class Probe(ABC):
    """A measurement of a network at some steps of its training. It sees copies, and never changes the run."""

    needs_next_step: ClassVar[bool] = False
    """It compares the network with what the next training step makes of it; `measure` then has both."""
    needs_pass: ClassVar[bool] = True
    """It looks at what a pass of the probe batch leaves in the layers. Where no probe does, none is made: a
    look then takes half the time."""

    def __init__(self, first: Look) -> None:
        """`first`: the network as it was initialized."""
        self.first = first

    @abstractmethod
    def measure(self, look: Look, network: Network, after: Network | None) -> dict[str, Any]:
        """The values of one step, `{layer: {quantity: number}}`, also several of those by place.

        None where a number is not defined.

        `look`: one pass of the probe batch through `network`, if a probe `needs_pass`. `after`: the network
        one step later, if the probe `needs_next_step`.
        """


PROBES = Registry[type[Probe]]("probes")
"""Every probe by the name that configs, probes.jsonl and figures use."""
