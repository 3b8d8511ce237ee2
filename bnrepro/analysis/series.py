"""Which lines a figure has: per norm, per statistics of a batch norm, per variant of the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnrepro.analysis.names import Names
from bnrepro.analysis.results import Results


@dataclass(frozen=True)
class Series:
    """One line. Its arrays have an entry for each planned x, rising; NaN where there is no number."""

    norm: str
    name: str
    """What the figure calls the norm."""
    statistics: str | None
    """None where the norm has no choice of statistics, or the figure none."""
    variant: str | None
    shared: bool
    """Trained once for every x: a horizontal line."""
    x: np.ndarray
    n: np.ndarray
    """Seeds with an error; `n_diverged` of them diverged."""
    n_diverged: np.ndarray
    n_failed: np.ndarray
    mean: np.ndarray
    """Percent; NaN also where every seed diverged: chance was not measured."""
    low: np.ndarray
    high: np.ndarray
    seeds: np.ndarray
    """`(seeds, 2)`: x and error of each one that did not diverge."""
    messages: dict[float, str]
    """By x: what a failed run there said."""

    @property
    def label(self) -> str:
        return ", ".join(part for part in (self.name, self.statistics, self.variant) if part is not None)

    @property
    def drawn(self) -> bool:
        """Is there anything but failures?"""
        return bool(self.n.any())


def select_series(
    results: Results, statistics: Sequence[str], names: Names
) -> tuple[list[Series], list[str]]:
    """The lines to draw, in the order of norms, and a note for each that has no numbers.

    Norms without batch statistics have one error, whatever is asked for.
    """
    series: list[Series] = []
    notes: list[str] = []
    several = tuple(statistics) != ("running",)  # the default goes without saying
    for norm, rows in results.table.groupby("norm", sort=False):
        batch_norm = norm in results.batch_norms
        for kind in statistics if batch_norm else ("running",):
            said = kind if several and batch_norm else None
            for variant, mine in _by_variant(rows):
                line = _series(results, norm, names(norm), kind, said, variant, mine)
                if not line.drawn:
                    notes.append(f"{norm}: no finished cell has an error under {kind} statistics; not drawn")
                if line.drawn or (kind == "running" and line.n_failed.any()):
                    series.append(line)
    order = {norm: place for place, norm in enumerate(results.summary["norm"].unique())}
    return sorted(series, key=lambda line: order.get(line.norm, len(order))), notes


def _by_variant(rows: pd.DataFrame) -> list[tuple[str | None, pd.DataFrame]]:
    if "variant" not in rows:
        return [(None, rows)]
    return list(rows.groupby("variant", sort=False))


def _series(
    results: Results,
    norm: str,
    name: str,
    kind: str,
    said: str | None,
    variant: str | None,
    rows: pd.DataFrame,
) -> Series:
    column = results.axis.column
    shared = bool(rows["shared"].any())
    summary = results.summary[(results.summary["norm"] == norm)]
    if variant is not None:
        summary = summary[summary["variant"] == variant]
    failed_only = (summary["n"] == 0) & (summary["statistics"] == "running")
    summary = summary[(summary["statistics"] == kind) | failed_only].drop_duplicates(column)
    planned = {cell.x for cell in results.planned if cell.norm == norm and cell.variant == (variant or "")}
    x = sorted(planned | set(summary[column])) if not shared else sorted(set(summary[column]))
    summary = summary.set_index(column).reindex(x)
    n, diverged, failed = (
        summary[key].fillna(0).to_numpy(dtype=int) for key in ("n", "n_diverged", "n_failed")
    )
    hidden = diverged >= n
    mean, low, high = (
        np.where(hidden, np.nan, summary[key].to_numpy(dtype=float, na_value=np.nan))
        for key in ("mean", "low", "high")
    )
    with_error = rows[(rows["status"] == "completed") & rows[f"error_{kind}"].notna()]
    lost = rows[rows["status"] == "failed"].drop_duplicates(column)
    return Series(
        norm=norm,
        name=name,
        statistics=said,
        variant=f"{results.variants.key}={variant}" if variant is not None else None,
        shared=shared,
        x=np.array(x, dtype=float),
        n=n,
        n_diverged=diverged,
        n_failed=failed,
        mean=mean,
        low=low,
        high=high,
        seeds=with_error[[column, f"error_{kind}"]].to_numpy(dtype=float),
        messages=dict(zip(lost[column].astype(float), lost["message"].fillna(""), strict=True)),
    )
