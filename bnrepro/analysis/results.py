"""The results of one or more sweeps: what every table and figure is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bnrepro.analysis.comparable import check_comparable, merge
from bnrepro.analysis.summary import summarize
from bnrepro.analysis.table import Sweep, read_sweep, read_table
from bnrepro.config.errors import UsageError


@dataclass(frozen=True)
class Results:
    """The finished cells of one or more sweeps."""

    sweeps: tuple[Sweep, ...]
    tables: tuple[pd.DataFrame, ...]
    table: pd.DataFrame
    summary: pd.DataFrame
    damaged: dict[str, str]
    """Cell id -> why it is left out."""

    @property
    def planned(self) -> list[str]:
        return list(dict.fromkeys(cell["id"] for sweep in self.sweeps for cell in sweep.cells))

    @property
    def batch_norms(self) -> set[str]:
        """The norms with batch statistics: the only ones with a `norm_batch_size`."""
        return set(self.table.loc[self.table["norm_batch_size"].notna(), "norm"])


def load_results(sweep_dirs: Sequence[Path]) -> Results:
    """Read the sweeps. Raises `UsageError` where nothing is finished, and where they cannot be compared."""
    sweeps = tuple(read_sweep(path) for path in sweep_dirs)
    read = [read_table(sweep) for sweep in sweeps]
    tables = tuple(table for table, _ in read)
    damaged = {cell: why for _, lines in read for cell, why in lines.items()}
    if all(table.empty for table in tables):
        places = ", ".join(str(sweep.path) for sweep in sweeps)
        why = "; ".join(damaged.values()) or "no cell is finished yet"
        raise UsageError(f"SWEEP_DIR={places}: {why}; nothing to plot")
    table = tables[0]
    if len(tables) > 1:
        check_comparable(sweeps, tables)
        table = merge(tables)
    norms = list(dict.fromkeys(norm for sweep in sweeps for norm in sweep.norms))
    batch_sizes = sorted({size for sweep in sweeps for size in sweep.batch_sizes})
    return Results(sweeps, tables, table, summarize(table, norms, batch_sizes), damaged)
