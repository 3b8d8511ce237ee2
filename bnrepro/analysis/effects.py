"""Effects: differences of two cells' means, each with an interval and a p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnrepro.analysis.student import quantile, two_sided_p
from bnrepro.analysis.summary import CONFIDENCE
from bnrepro.analysis.x_axis import BATCH_SIZE

SIGNIFICANT = 1 - CONFIDENCE
LEAST_BASELINE = 16
"""The baseline is looked for from this batch size on: below it batch norm is what the figure is about."""
GROUP_NORM = "gn"
FIELDS = ("difference", "low", "high", "p", "p_holm")
OWN = tuple(f"baseline_{name}" for name in FIELDS)
OTHER = tuple(f"{GROUP_NORM}_{name}" for name in FIELDS)


@dataclass(frozen=True)
class Welch:
    """Differences of means, elementwise; NaN where there is nothing to say."""

    difference: np.ndarray
    """Of the means, percent."""
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    """Two-sided."""


def welch(
    mean: np.ndarray, sd: np.ndarray, n: np.ndarray, mean2: np.ndarray, sd2: np.ndarray, n2: np.ndarray
) -> Welch:
    """Welch's (1947) t-test of `mean − mean2`, with a 95 % interval.

    `sd` (n − 1) and `n` are those of each sample; arrays of one shape. A sample of one seed has a
    difference but neither interval nor p; so have two samples without any spread.
    """
    first, second = (_squared_error(*sample) for sample in ((sd, n), (sd2, n2)))
    squared = first + second
    spread = squared > 0  # False for NaN, too
    safe = np.where(spread, squared, 1.0)
    degrees = safe**2 / np.where(
        spread, first**2 / np.maximum(n - 1, 1) + second**2 / np.maximum(n2 - 1, 1), 1.0
    )
    error = np.where(spread, np.sqrt(safe), np.nan)
    difference = mean - mean2
    half = quantile(degrees, (1 + CONFIDENCE) / 2) * error
    p = two_sided_p(degrees, difference / error)
    return Welch(difference, difference - half, difference + half, p)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's (1979) correction of a family of p-values `(m,)`; what is NaN is not part of the family."""
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def find_effects(summary: pd.DataFrame, x: str = "batch_size", baseline: float | None = None) -> pd.DataFrame:
    """The summary's rows with their differences (percentage points of error; above 0 is worse).

    `baseline_…` to the same norm, statistics and sweep at the baseline, `gn_…` to group norm at the same
    `x`; `…_low` and `…_high` are a 95 % Welch interval, `…_p_holm` is corrected over the norm's rows.
    `baseline`: the x to compare with, where a norm has it; None: each norm's best, of batch sizes its best
    from 16 on, or its largest; that is chosen by the same runs, which makes it look a little too good. A
    norm that was trained once for all x has no difference to itself.
    """
    families = [name for name in ("variant", "norm", "statistics") if name in summary]
    parts = []
    for _, rows in summary.groupby(families, sort=False):
        at = _baseline_row(rows, x, baseline)
        reference = rows.iloc[[at] * len(rows)] if at is not None else rows.iloc[:0]
        value = reference[x].iloc[0] if at is not None else pd.NA
        own = _compare(rows, reference, OWN, leave_out=at)
        group = _compare(rows, _group_norm_at(summary, rows, x), OTHER)
        if rows["shared"].any():  # one comparison, however many rows it has
            group[OTHER[-1]] = group[OTHER[-2]]
        parts.append(pd.concat([rows.assign(baseline=value), own, group], axis="columns"))
    return pd.concat(parts) if parts else summary.assign(baseline=pd.NA)


def significantly_worse(effects: pd.DataFrame) -> pd.Series:
    """Which rows are worse than their norm's baseline, at 5 % after Holm's correction."""
    return (effects["baseline_p_holm"] < SIGNIFICANT) & (effects["baseline_difference"] > 0)


def _squared_error(sd: np.ndarray, n: np.ndarray) -> np.ndarray:
    return np.where(n >= 2, sd**2 / np.maximum(n, 1), np.nan)


def _baseline_row(rows: pd.DataFrame, x: str, asked: float | None) -> int | None:
    """Its place among `rows`."""
    if rows["shared"].any():
        return None
    values = rows[x].to_numpy(dtype=float)
    means = rows["mean"].to_numpy(dtype=float)
    known = np.isfinite(means)
    if asked is not None:
        places = np.flatnonzero(known & (values == asked))
        return int(places[0]) if len(places) else None
    if not known.any():
        return None
    wide = known & (values >= LEAST_BASELINE) if x == BATCH_SIZE else known
    if wide.any():
        return int(np.flatnonzero(wide)[np.argmin(means[wide])])
    return int(np.flatnonzero(known)[np.argmax(values[known])])


def _group_norm_at(summary: pd.DataFrame, rows: pd.DataFrame, x: str) -> pd.DataFrame:
    """Group norm's row for each of `rows`, in their order; NaN where there is none."""
    if rows["norm"].iloc[0] == GROUP_NORM:
        return rows.iloc[:0]
    group = summary[(summary["norm"] == GROUP_NORM) & (summary["statistics"] == "running")]
    if "variant" in summary:
        group = group[group["variant"] == rows["variant"].iloc[0]]
    return group.set_index(x).reindex(rows[x])


def _compare(
    rows: pd.DataFrame, others: pd.DataFrame, names: Sequence[str], leave_out: int | None = None
) -> pd.DataFrame:
    """`rows` minus `others`, row by row, as columns called `names`. `leave_out` is a row not to compare."""
    if others.empty:
        return pd.DataFrame(np.nan, index=rows.index, columns=list(names))
    samples = [
        frame[name].to_numpy(dtype=float, na_value=np.nan)
        for frame in (rows, others)
        for name in ("mean", "sd", "n")
    ]
    found = welch(*samples)
    columns = [found.difference, found.low, found.high, found.p]
    if leave_out is not None:
        for column in columns:
            column[leave_out] = np.nan
    return pd.DataFrame(dict(zip(names, [*columns, holm(found.p)], strict=True)), index=rows.index)
