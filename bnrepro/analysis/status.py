"""The state of cells, wherever they are: a sweep, a single run, a folder of `results/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnrepro.analysis import kept
from bnrepro.analysis.table import read_sweep
from bnrepro.config.validate import STATISTICS
from bnrepro.sweep.slurm.states import slurm_status
from bnrepro.sweep.status import CellStatus, cell_status


def directory_status(directory: Path) -> tuple[list[CellStatus], str]:
    """Every planned cell's state, and a remark on where that is known from. Raises `UsageError`."""
    sweep = read_sweep(directory)
    if sweep.kind == "run":
        return [cell_status(directory, dict(cell)) for cell in sweep.cells], ""
    if sweep.kind == "sweep":
        return slurm_status(directory)
    rows = {row["id"]: row for row in kept.read_rows(directory, sweep.cells)}
    cells = [_status(cell, rows.get(cell["id"])) for cell in sweep.cells]
    return cells, f"from {directory / kept.TABLE} alone"


def _status(cell: Mapping[str, Any], row: Mapping[str, Any] | None) -> CellStatus:
    total = cell["steps"]
    if row is None:
        return CellStatus(cell["id"], "pending", 0, total, None, None, {}, "")
    error = {name: row[f"error_{name}"] for name in STATISTICS if f"error_{name}" in row}
    steps = cell["steps"] if row["status"] == "completed" else 0
    return CellStatus(
        cell["id"], row["status"], steps, cell["steps"], None, None, error, row.get("message", "")
    )
