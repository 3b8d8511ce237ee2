"""How long cells take on the cluster: enough to pack them; an error costs a requeue, never a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.data import Dataset
from bnrepro.sweep.cost import relative_cost
from bnrepro.sweep.forecast import forecast
from bnrepro.sweep.plan import Cell, Plan


@dataclass(frozen=True)
class Estimate:
    """Expected seconds per cell, and where they come from."""

    seconds: dict[str, float]
    source: str


def estimate(
    plan: Plan,
    todo: Sequence[Cell],
    done: Mapping[str, dict[str, Any]],
    minutes_per_cell: float | str,
    dataset: Dataset,
) -> Estimate | None:
    """From what the user says, what finished cells took, or a few steps timed here; None: cannot be known.

    A login node is slower than what the jobs will get, so the last one packs too little rather than too much.
    """
    costs = {cell.id: relative_cost(cell) for cell in todo}
    longest = max(todo, key=relative_cost)
    rates = [
        done[cell.id]["wall_seconds"] / relative_cost(cell)
        for cell in plan.cells
        if cell.id in done and done[cell.id]["status"] == "completed"
    ]
    if isinstance(minutes_per_cell, int | float):
        rate, source = 60 * minutes_per_cell / costs[longest.id], "launcher.minutes_per_cell"
    elif rates:
        rate, source = median(rates), f"{len(rates)} finished cells"
    else:
        try:
            timed = forecast(replace(plan, cells=(longest,)), dataset, {}, print).get(longest.id)
        except UsageError:  # the device of the jobs is not here
            return None
        if timed is None:
            return None
        rate, source = timed.seconds / costs[longest.id], f"timing {longest.id} on this machine"
    return Estimate({cell: rate * cost for cell, cost in costs.items()}, source)
