"""`--wait`: a submitted sweep on the terminal, as the local launcher shows it. Reads files and squeue."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged
from bnrepro.rundir.record import METRICS, read_metrics, read_progress
from bnrepro.rundir.result import read_result
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.sweep.slurm.states import slurm_status
from bnrepro.sweep.status import CellStatus
from bnrepro.sweep.view import View
from bnrepro.training.progress import Progress

POLL_SECONDS = 10.0
"""Many users ask one controller."""
WAITING = ("running", "pending", "interrupted")


def follow(plan: Plan, directory: Path, jobs: int) -> tuple[dict[str, dict[str, Any]], list[CellStatus]]:
    """Show the sweep until no job of it is left: the results, and the cells that have none."""
    cells = {cell.id: cell for cell in plan.cells}
    results = _results(cells, directory)
    waiting = {cell: cells[cell] for cell in cells if cell not in results}
    with View([[cell] for cell in waiting.values()], len(results), jobs) as view:
        while True:
            states, remark = slurm_status(directory)
            for status in states:
                if status.id in waiting and status.state == "running":
                    _show(view, waiting[status.id], directory)
            for cell, result in _results(waiting, directory).items():
                results[cell] = result
                view.finished(waiting.pop(cell), result)
            left = [status for status in states if status.id in waiting]
            if not remark and not any(status.state in WAITING for status in left):
                return results, left
            view.refresh()
            time.sleep(POLL_SECONDS)


def _results(cells: dict[str, Cell], directory: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for name, cell in cells.items():
        with suppress(Damaged):  # its state says so
            result = read_result(cell.directory(directory), cell.identity)
            if result is not None:
                found[name] = result
    return found


def _show(view: View, cell: Cell, directory: Path) -> None:
    folder = cell.directory(directory)
    note = read_progress(folder)
    view.started(cell)
    if note is None:
        return
    error = None
    with suppress(Damaged):  # only for the eye
        if metrics := read_metrics(folder / METRICS):
            error = metrics[-1]["error"].get("running")
    view.progress(cell, Progress(note["step"], cell.steps, note["epoch"], note["images_per_second"], error))
