"""Which cells share a task: by the time they take, not by their number."""

from __future__ import annotations

from collections.abc import Collection, Mapping

FILL = 0.5
"""The part of the asked time that cells may be expected to fill: an estimate can be wrong by a factor."""


def fill(costs: Mapping[str, float], capacity: float, alone: Collection[str] = ()) -> list[list[str]]:
    """Cells in tasks of at most `capacity`, each task's longest first.

    `costs` and `capacity` have one unit. A cell above the capacity, or in `alone`, has a task of its own.
    First fit, the longest first: at most 22 % more tasks than the best packing (Johnson 1973).
    """
    tasks: list[list[str]] = []
    room: list[float] = []
    for cell in _longest_first(costs):
        cost = costs[cell]
        index = next((i for i, left in enumerate(room) if cost <= left), None)
        if index is None or cell in alone:
            tasks.append([cell])
            room.append(-1.0 if cell in alone else capacity - cost)
        else:
            tasks[index].append(cell)
            room[index] -= cost
    return tasks


def share(costs: Mapping[str, float], cells_per_task: int, alone: Collection[str] = ()) -> list[list[str]]:
    """Cells in as many tasks as `cells_per_task` on average asks for, the tasks about equally long."""
    together = [cell for cell in _longest_first(costs) if cell not in alone]
    tasks: list[list[str]] = [[] for _ in range(-(-len(together) // cells_per_task))]
    loads = [0.0] * len(tasks)
    for cell in together:
        index = loads.index(min(loads))
        tasks[index].append(cell)
        loads[index] += costs[cell]
    own = [[cell] for cell in costs if cell in alone]
    return sorted(own + tasks, key=lambda task: -sum(costs[cell] for cell in task))


def _longest_first(costs: Mapping[str, float]) -> list[str]:
    return sorted(costs, key=lambda cell: -costs[cell])
