"""The tables of the page, as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bnrepro.analysis.names import Names
from bnrepro.analysis.report.cells import Cell
from bnrepro.analysis.results import Results
from bnrepro.analysis.text import NOTHING, TextTable
from bnrepro.config.validate import STATISTICS

MIB = 2**20


@dataclass(frozen=True)
class Ending:
    """Runs that ended in the same way before they were done."""

    status: str
    cells: list[str]
    message: str
    traceback: str


def run_table(cells: Sequence[Cell]) -> TextTable:
    """A row per finished run."""
    kinds = [kind for kind in STATISTICS if any(pd.notna(cell.row[f"error_{kind}"]) for cell in cells)]
    header = ("run", "state", *(f"{kind} (%)" for kind in kinds), "train (%)", "seconds", "images/s", "MiB")
    rows = [
        (
            cell.name,
            str(cell.row["status"]),
            *(_number(cell.row[f"error_{kind}"], 2) for kind in kinds),
            _number(cell.row["train_error"], 2),
            _number(cell.row["wall_seconds"], 1),
            _number(cell.row["images_per_second"], 0),
            _number(cell.row["peak_memory_bytes"], 0, MIB),
        )
        for cell in cells
    ]
    return TextTable(header, tuple(rows), left=2)


def cost_table(results: Results, cells: Sequence[Cell], names: Names) -> TextTable:
    """A row per norm and point of the axis: means over its runs."""
    points: dict[tuple[str, str, float], list[Cell]] = defaultdict(list)
    for cell in cells:
        points[cell.norm, cell.variant, cell.x].append(cell)
    rows = [
        (
            ", ".join(filter(None, (names(norm), variant))),
            f"{x:g}",
            str(len(mine)),
            *(
                _mean(mine, key, digits, unit)
                for key, digits, unit in (
                    ("wall_seconds", 1, 1),
                    ("images_per_second", 0, 1),
                    ("peak_memory_bytes", 0, MIB),
                )
            ),
        )
        for (norm, variant, x), mine in points.items()
    ]
    header = ("norm", results.axis.key, "runs", "seconds each", "images/s", "peak MiB")
    return TextTable(header, tuple(rows), left=1)


def total_seconds(cells: Sequence[Cell]) -> float:
    """Of all runs: what one worker would have taken."""
    return float(sum(cell.row["wall_seconds"] for cell in cells if pd.notna(cell.row["wall_seconds"])))


def find_endings(cells: Sequence[Cell]) -> list[Ending]:
    """Diverged and failed runs, those with the same message and traceback together."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        if cell.row["status"] != "completed":
            why = (str(cell.row["status"]), str(cell.row["message"] or ""), cell.traceback)
            found.setdefault(why, []).append(cell.name)
    return [Ending(status, ids, message, trace) for (status, message, trace), ids in found.items()]


def _mean(cells: Sequence[Cell], key: str, digits: int, unit: float) -> str:
    known = [float(cell.row[key]) for cell in cells if pd.notna(cell.row[key])]
    return _number(np.mean(known), digits, unit) if known else NOTHING


def _number(value: Any, digits: int, unit: float = 1.0) -> str:
    return NOTHING if pd.isna(value) else f"{float(value) / unit:.{digits}f}"
