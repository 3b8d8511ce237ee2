"""The results of one or more sweeps: what every table and figure is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bnrepro.analysis import kept
from bnrepro.analysis.comparable import AXES, Variants, find_variants, merge
from bnrepro.analysis.summary import summarize
from bnrepro.analysis.table import ATTRIBUTE, Sweep, images_per_epoch, read_sweep, read_table
from bnrepro.analysis.x_axis import XAxis, x_axis
from bnrepro.config.errors import Damaged, UsageError, check_choice
from bnrepro.rundir.record import METRICS, read_metrics

CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100, "imagenet": 1000}
"""Of the package's data sets: results of earlier versions do not say it."""


class Planned(NamedTuple):
    """A cell that a sweep has or should have."""

    variant: str
    norm: str
    x: float
    id: str


@dataclass(frozen=True)
class Results:
    """The finished cells of one or more sweeps."""

    sweeps: tuple[Sweep, ...]
    variants: Variants
    tables: tuple[pd.DataFrame, ...]
    """By sweep."""
    table: pd.DataFrame
    """All of them, each cell once; with a column `variant` where the sweeps differ in a key."""
    summary: pd.DataFrame
    axis: XAxis
    planned: tuple[Planned, ...]
    images: list[int]
    """Training images that an epoch sees, by number."""
    damaged: dict[str, str]
    """Cell -> why it is left out: its id, and the sweep's value where sweeps differ in a key."""

    @property
    def missing(self) -> list[str]:
        """Planned cells without a result, named as `damaged` does."""
        ended = _statuses(self.table)
        names = (
            _name(self.variants, cell.variant, cell.id)
            for cell in self.planned
            if (cell.variant, cell.id) not in ended
        )
        return [name for name in names if name not in self.damaged]

    @property
    def finished(self) -> int:
        """How many of the planned cells have a result."""
        return len({(cell.variant, cell.id) for cell in self.planned} & _statuses(self.table).keys())

    @property
    def batch_norms(self) -> set[str]:
        """The norms with batch statistics: the only ones with a `norm_batch_size`."""
        return set(self.table.loc[self.table["norm_batch_size"].notna(), "norm"])

    @property
    def chance(self) -> float | None:
        """The error of guessing, in percent, where the number of classes is known."""
        if "classes" in self.table and self.table["classes"].notna().any():
            return 100 * (1 - 1 / self.table["classes"].max())
        diverged = self.table.loc[self.table["status"] == "diverged", "error_running"]
        classes = CLASSES.get(str(self.sweeps[0].base.get("data", {}).get("name")))
        return diverged.max() if len(diverged) else 100 * (1 - 1 / classes) if classes else None

    def only(self, norms: Sequence[str] | None, values: Sequence[float] | None) -> Results:
        """What a figure of some norms and some values of the axis is made of.

        Raises `UsageError` for one that the sweeps do not have.
        """
        known = list(dict.fromkeys(cell.norm for cell in self.planned))
        for norm in norms or ():
            check_choice("--norms", norm, known)
        points = sorted({*self.summary[self.axis.column], *(cell.x for cell in self.planned)})
        for value in values or ():
            check_choice("--batch-sizes", f"{value:g}", [f"{point:g}" for point in points])

        def chosen(frame: pd.DataFrame) -> pd.DataFrame:
            keep = frame["norm"].isin(norms or known)
            if values is not None:
                # a norm that was trained once holds at every x
                keep &= frame[self.axis.column].isin(values) | frame["shared"]
            return frame[keep]

        summary = chosen(self.summary)
        if values is not None:
            summary = summary[summary[self.axis.column].isin(values)]
        order = {norm: place for place, norm in enumerate(norms or known)}
        return replace(
            self,
            tables=tuple(chosen(table) for table in self.tables),
            table=chosen(self.table),
            summary=summary.sort_values("norm", key=lambda column: column.map(order), kind="stable"),
            planned=tuple(
                cell
                for cell in self.planned
                if cell.norm in order and (values is None or cell.x in values or self._is_shared(cell.norm))
            ),
        )

    def _is_shared(self, norm: str) -> bool:
        return bool(self.table.loc[self.table["norm"] == norm, "shared"].any())

    def metrics(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Each finished cell's id and its evaluations, as in metrics.jsonl."""
        for _, row, lines in self.runs([]):
            yield row["id"], lines

    def runs(self, damaged: list[str]) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
        """Each finished cell once, the run that the table has: its variant, its row, and its evaluations.

        A cell whose metrics.jsonl cannot be believed is left out, and a line about it added to `damaged`.
        """
        left = _statuses(self.table)
        for sweep, variant, table in zip(self.sweeps, self.variants.values, self.tables, strict=True):
            stored = kept.read_metrics(sweep.path) if sweep.kind == "kept" else {}
            for row in table.to_dict("records"):
                cell = row["id"]
                if left.get((variant, cell)) != row["status"]:
                    continue
                del left[variant, cell]
                if sweep.kind == "kept":
                    yield variant, row, stored.get(cell, [])
                    continue
                try:
                    lines = read_metrics(sweep.run_directory(cell) / METRICS)
                except Damaged as error:
                    damaged.append(f"curves: {cell} is left out: {error}")
                    continue
                yield variant, row, lines


def load_results(sweep_dirs: Sequence[Path]) -> Results:
    """Read the sweeps. Raises `UsageError` where nothing is finished, and where they cannot be compared."""
    sweeps = tuple(read_sweep(path) for path in sweep_dirs)
    read = [read_table(sweep) for sweep in sweeps]
    tables = tuple(table for table, _ in read)
    if all(table.empty for table in tables):
        places = ", ".join(str(sweep.path) for sweep in sweeps)
        why = "; ".join(why for _, lines in read for why in lines.values()) or "no cell is finished yet"
        raise UsageError(f"SWEEP_DIR={places}: {why}; nothing to plot")
    variants = find_variants(sweeps)
    table = tables[0].assign(variant=variants.values[0]) if variants.key else tables[0]
    if len(tables) > 1:
        named = zip(tables, variants.values, strict=True)
        parts = [part.assign(variant=value) if variants.key else part for part, value in named]
        table = merge(parts, ("variant", *AXES) if variants.key else AXES)
    ended = _statuses(table)
    damaged = {
        _name(variants, value, cell): why
        for value, (_, lines) in zip(variants.values, read, strict=True)
        for cell, why in lines.items()
        if (value, cell) not in ended  # another sweep has it
    }
    axis = x_axis(sweeps[0].plan, table)
    norms = list(dict.fromkeys(norm for sweep in sweeps for norm in sweep.norms))
    planned = tuple(
        Planned(value, cell["norm"], cell.get("x", cell["batch_size"]), cell["id"])
        for value, sweep in zip(variants.values, sweeps, strict=True)
        for cell in sweep.cells
    )
    planned = tuple(dict.fromkeys(planned))
    points = sorted({value for sweep in sweeps for value in _values(sweep)})
    return Results(
        sweeps=sweeps,
        variants=variants,
        tables=tables,
        table=table,
        summary=summarize(table, norms, points, axis.column),
        axis=axis,
        planned=planned,
        images=images_per_epoch(sweeps, table),
        damaged=damaged,
    )


def table_results(table: pd.DataFrame) -> Results:
    """Of a table alone, as `load_table` gives it or a part of it. Raises `UsageError` for an empty one."""
    if table.empty:
        raise UsageError("table: has no rows; nothing to draw")
    norms = list(table["norm"].unique())
    plan: dict[str, Any] = {"experiment": "default", "reference": None, "base": {}}
    plan |= {**table.attrs.get(ATTRIBUTE, {}), "norms": norms, "cells": []}
    axis = x_axis(plan, table)
    separate = table[~table["shared"]]
    values = sorted(separate[axis.column].unique()) or plan.get("batch_sizes", [1])
    cells = zip(separate["norm"], separate[axis.column], separate["id"], strict=True)
    planned = [Planned("", norm, float(x), cell) for norm, x, cell in cells]
    return Results(
        sweeps=(Sweep(Path(), plan, "table"),),
        variants=Variants(None, ("",)),
        tables=(table,),
        table=table,
        summary=summarize(table, norms, values, axis.column),
        axis=axis,
        planned=tuple(planned),
        images=plan.get("images_per_epoch", []),
        damaged={},
    )


def _statuses(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(variant, cell id) -> status, of the cells with a result."""
    variants = table["variant"] if "variant" in table else [""] * len(table)
    return dict(zip(zip(variants, table["id"], strict=True), table["status"], strict=True))


def _name(variants: Variants, value: str, cell: str) -> str:
    return f"{cell} ({variants.key}={value})" if value else cell


def _values(sweep: Sweep) -> Sequence[float]:
    axis = sweep.plan.get("axis")
    return axis["values"] if axis else sweep.plan["batch_sizes"]
