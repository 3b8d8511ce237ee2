"""The state of every cell, from its files. Imports no torch."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bnrepro.config.errors import Damaged
from bnrepro.rundir.lock import FILE as LOCK
from bnrepro.rundir.reading import open_regular
from bnrepro.rundir.record import CHECKPOINT, read_progress
from bnrepro.rundir.result import failure, read_result
from bnrepro.sweep.directory import CELLS, read_sweep

STATES = (
    "running",
    "interrupted",
    "pending",
    "completed",
    "diverged",
    "failed",
    "damaged",
    "cancelled",
    "timed out",
    "lost",
)
"""The last three only where Slurm tells how a job ended: `sweep/slurm/states.py`."""


@dataclass(frozen=True)
class CellStatus:
    """One cell as its files show it."""

    id: str
    state: str
    """`running` (its directory is locked), `interrupted` (a checkpoint and nobody at work), `pending`, the
    result's status, or `damaged` (a result that is not one, or of another config)."""
    step: int
    total_steps: int
    epoch: int | None
    seconds_left: float | None
    error: dict[str, float]
    message: str


def sweep_status(directory: Path) -> list[CellStatus]:
    """Every planned cell's state, in the plan's order. Raises `UsageError` where there is no sweep."""
    cells: Sequence[dict[str, Any]] = read_sweep(directory)["cells"]
    return [cell_status(directory / CELLS / cell["id"], cell) for cell in cells]


def cell_status(directory: Path, cell: dict[str, Any], running: bool | None = None) -> CellStatus:
    """The state of one cell of sweep.json; whether it is `running` its lock says, or who knows better."""
    total = cell["steps"]
    try:
        result = read_result(directory, cell)
    except Damaged as error:
        return CellStatus(cell["id"], "damaged", 0, total, None, None, {}, str(error))
    if result is not None:
        status, message = result["status"], result["message"]
        steps = total if status == "completed" else 0
        if status == "failed":
            message = failure(directory, message)
        return CellStatus(cell["id"], status, steps, total, None, None, result["error"], message)
    progress = read_progress(directory)
    running = is_locked(directory) if running is None else running
    state = "running" if running else "interrupted" if (directory / CHECKPOINT).exists() else "pending"
    if progress is None or state == "pending":
        return CellStatus(cell["id"], state, 0, total, None, None, {}, "")
    seconds = (total - progress["step"]) * cell["sgd_batch_size"] / max(progress["images_per_second"], 1e-9)
    left = seconds if running and total else None  # of a single run the total may not be known yet
    return CellStatus(cell["id"], state, progress["step"], total, progress["epoch"], left, {}, "")


def is_locked(directory: Path) -> bool:
    """Is a process of this machine at work in the directory?"""
    try:
        with open_regular(directory / LOCK) as file:
            return _held(file)
    except (FileNotFoundError, Damaged):
        return False  # somebody else's sweep: the files are all we may see


def _held(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    return False
