"""What the runs of an experiment left: errors, curves and probes, by norm, value and seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.analysis.table import Sweep, read_sweep, read_table
from bnrepro.claims.experiment import SEARCH_SEEDS, Experiment
from bnrepro.config.errors import UsageError
from bnrepro.rundir.probe_record import FILE as PROBES
from bnrepro.rundir.probe_record import read_probes
from bnrepro.rundir.record import METRICS, read_metrics
from bnrepro.sweep.axis import Number, cell_name, cell_x, make_axis


@dataclass(frozen=True)
class Found:
    """A finished experiment. The seeds are those that judge, unless those of the search are asked for."""

    experiment: Experiment
    directory: Path
    first_seed: int

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per cell, with `x`, of the experiment's seeds: others of an earlier call lie beside them.

        Raises `UsageError` where a cell is missing or damaged.
        """
        table, damaged = read_table(self._sweep)
        seeds = self.experiment.axes(self.first_seed).seeds or ()
        where = {cell["id"]: cell_x(cell) for cell in self._sweep.cells if cell["seed"] in seeds}
        if missing := [cell for cell in where if cell not in set(table["id"])]:
            why = damaged.get(missing[0], "has no result yet")
            raise UsageError(f"{self.directory}: cell {missing[0]} {why}; run the same command again")
        own = table[table["id"].isin(where)]
        return own.assign(x=own["id"].map(where))

    def errors(
        self, norm: str, x: Number, statistics: str = "running", *, search: bool = False
    ) -> dict[int, float]:
        """Seed -> error in percent; that of chance where a run diverged, none where it failed."""
        rows = self.table[(self.table["norm"] == norm) & (self.table["x"] == x)]
        found = dict(zip(rows["seed"].astype(int), rows[f"error_{statistics}"], strict=True))
        return {
            seed: float(error)
            for seed, error in sorted(found.items())
            if (seed in SEARCH_SEEDS) is search and pd.notna(error)
        }

    def statuses(self, norm: str, x: Number) -> dict[int, str]:
        """Seed -> `completed`, `diverged` or `failed`."""
        rows = self.table[(self.table["norm"] == norm) & (self.table["x"] == x)]
        return dict(zip(rows["seed"].astype(int), rows["status"], strict=True))

    def failures(self, norm: str, x: Number) -> dict[int, str]:
        """Seed -> message, of the runs that failed."""
        rows = self.table[(self.table["norm"] == norm) & (self.table["x"] == x)]
        failed = rows[rows["status"] == "failed"]
        return dict(zip(failed["seed"].astype(int), failed["message"].astype(str), strict=True))

    def best_value(self, norm: str, statistics: str = "running") -> Number:
        """The value with the least mean error over the search's seeds; of ties the smallest.

        A run that failed counts as wrong everywhere: what is left of five seeds is no better for it.
        """
        totals = {}
        for x in self.experiment.values:
            errors = self.errors(norm, x, statistics, search=True)
            totals[x] = sum(errors.get(seed, 100.0) for seed in self.seeds(search=True))
        return min(totals, key=lambda x: (totals[x], x))

    def seeds(self, *, search: bool = False) -> list[int]:
        return sorted(int(s) for s in self.table["seed"].unique() if (int(s) in SEARCH_SEEDS) is search)

    @property
    def steps(self) -> int:
        """Training steps of the longest run."""
        return max(int(cell["steps"]) for cell in self._sweep.cells)

    def run_directory(self, norm: str, x: Number, seed: int) -> Path:
        axis = make_axis(self.experiment.key, self.experiment.values)
        return self._sweep.run_directory(cell_name(norm, axis.short, x, seed))

    def metrics(self, norm: str, x: Number, seed: int) -> list[dict[str, Any]]:
        """The evaluations of a run, as in metrics.jsonl."""
        return read_metrics(self.run_directory(norm, x, seed) / METRICS)

    def probes(self, norm: str, x: Number, seed: int) -> list[dict[str, Any]]:
        """The lines of probes.jsonl, by rising step."""
        return read_probes(self.run_directory(norm, x, seed) / PROBES)

    @cached_property
    def _sweep(self) -> Sweep:
        return read_sweep(self.directory)
