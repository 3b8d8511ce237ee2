"""Looks at a network while it trains, with the probes that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bnrepro.probes.network import NOT_LOOKED, Look, Network, look
from bnrepro.probes.registry import PROBES, Probe
from bnrepro.probes.samples import number

Line = dict[str, Any]
"""One object of probes.jsonl: the step, the loss of the probe batch as in training (null where it was not
passed through the network), and each probe's values."""


@dataclass(frozen=True)
class _Open:
    """A step whose probes wait for the next step."""

    step: int
    look: Look
    network: Network


class Observer:
    """The probes of one run. Tell it of the steps in `stops`, as they are reached."""

    def __init__(
        self, names: Sequence[str], steps: Sequence[int], last_step: int, network: Callable[[], Network]
    ) -> None:
        """`network`: a copy of the run's network as it is at that moment, now with its initial weights; it
        has to last until the call after the next.

        Raises `UsageError` for a probe that does not exist.
        """
        classes = {name: PROBES.find(name) for name in names}
        first = look(network())
        self._network = network
        self._probes: dict[str, Probe] = {name: make(first) for name, make in classes.items()}
        self._waits = any(probe.needs_next_step for probe in self._probes.values())
        self._looks = any(probe.needs_pass for probe in self._probes.values())
        self._steps = frozenset(steps)
        self._last = last_step
        self._open: _Open | None = None

    @property
    def stops(self) -> frozenset[int]:
        """The steps at which training has to stand still for a moment."""
        after = {step + 1 for step in self._steps if step < self._last} if self._waits else set()
        return self._steps | after

    def complete_at(self, step: int) -> int:
        """When the line of `step` is written: at once, or after the next step."""
        return step + 1 if self._waits and step < self._last else step

    def at(self, step: int, known: Collection[int] = ()) -> Iterator[Line]:
        """The network is at `step` now: the lines that are complete with that.

        `known`: the steps that have their line from an earlier call of the program.
        """
        if step not in self.stops:
            return
        network = self._network()
        if self._open is not None and self._open.step == step - 1:
            yield self._line(self._open, network)
        self._open = None
        if step in self._steps and step not in known:
            begun = _Open(step, look(network) if self._looks else NOT_LOOKED, network)
            if self.complete_at(step) == step:
                yield self._line(begun, None)
            else:
                self._open = begun

    def _line(self, begun: _Open, after: Network | None) -> Line:
        values = {
            name: probe.measure(begun.look, begun.network, after) for name, probe in self._probes.items()
        }
        return {"step": begun.step, "probe_loss": number(begun.look.loss), **values}
