"""The state of every cell, from its files. Imports no torch."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnrepro.rundir.lock import FILE as LOCK
from bnrepro.rundir.record import CHECKPOINT, PROGRESS, read_result
from bnrepro.sweep.directory import CELLS, read_sweep

STATES = (
    "running",
    "interrupted",
    "pending",
    "completed",
    "diverged",
    "failed",
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
    """`running` (its directory is locked), `interrupted` (a checkpoint and nobody at work), `pending`, or the
    result's status."""
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
    result = read_result(directory)
    total = cell["steps"]
    if result is not None:
        steps = total if result["status"] == "completed" else 0
        return CellStatus(
            cell["id"], result["status"], steps, total, None, None, result["error"], result["message"]
        )
    progress = read_progress(directory)
    running = is_locked(directory) if running is None else running
    state = "running" if running else "interrupted" if (directory / CHECKPOINT).exists() else "pending"
    if progress is None or state == "pending":
        return CellStatus(cell["id"], state, 0, total, None, None, {}, "")
    seconds = (total - progress["step"]) * cell["sgd_batch_size"] / progress["images_per_second"]
    return CellStatus(
        cell["id"], state, progress["step"], total, progress["epoch"], seconds if running else None, {}, ""
    )


def is_locked(directory: Path) -> bool:
    """Is a process of this machine at work in the directory?"""
    try:
        with (directory / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except PermissionError:
        return False  # somebody else's sweep: the files are all we may see
    return False


def read_progress(directory: Path) -> dict[str, Any] | None:
    """How far the run last said it was, or None."""
    try:
        return json.loads((directory / PROGRESS).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
