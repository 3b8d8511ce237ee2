"""Mean, spread and interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bnrepro.analysis.student import quantile
from bnrepro.analysis.table import ERROR_COLUMNS
from bnrepro.config.validate import STATISTICS

CONFIDENCE = 0.95
NUMBERS = ("n", "n_diverged", "n_failed", "mean", "sd", "low", "high")


def summarize(
    table: pd.DataFrame, norms: Sequence[str], values: Sequence[float], x: str = "batch_size"
) -> pd.DataFrame:
    """A row per norm × `x` × statistics, in the order of `norms`, then of rising `x`.

    `n` counts the seeds with an error, diverged runs (`n_diverged` of them) with that of chance: leaving
    them out would flatter a norm. `n_failed` runs have no error. `mean` and `sd` (n − 1) are percent;
    `low` and `high` are the 95 % t-interval of the mean, mean ± t(0.975, n − 1) · sd / √n, empty for one
    seed. A `shared` cell (trained once per seed for every x) has a row at each of `values`. Where `table`
    has several variants, each has rows of its own.
    """
    variant = ["variant"] if "variant" in table else []
    state = table[[*variant, "norm", x, "shared"]].assign(
        n_diverged=table["status"] == "diverged", n_failed=table["status"] == "failed"
    )
    per_statistic = [
        state.assign(statistics=statistic, error=table[column])
        for statistic, column in zip(STATISTICS, ERROR_COLUMNS, strict=True)
    ]
    keys = [*variant, "norm", x, "statistics", "shared"]
    summary = (
        pd.concat(per_statistic)
        .groupby(keys, sort=False)
        .agg(
            n=("error", "count"),
            n_diverged=("n_diverged", "sum"),
            n_failed=("n_failed", "sum"),
            mean=("error", "mean"),
            sd=("error", "std"),
        )
        .reset_index()
    )
    only_failed = (summary["statistics"] == "running") & (summary["n_failed"] > 0)
    summary = summary[(summary["n"] > 0) | only_failed]
    half = _half_width(summary["n"].to_numpy(), summary["sd"].to_numpy())
    summary = summary.assign(low=summary["mean"] - half, high=summary["mean"] + half)
    return _sorted(_at_every_x(summary, values, x), norms, x)[[*keys, *NUMBERS]]


def _half_width(n: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Half of the t-interval's width; NaN below two values."""
    enough = n >= 2
    degrees = np.where(enough, n - 1, 1)
    t = quantile(degrees, (1 + CONFIDENCE) / 2)
    return np.where(enough, t * sd / np.sqrt(degrees + 1), np.nan)


def _at_every_x(summary: pd.DataFrame, values: Sequence[float], x: str) -> pd.DataFrame:
    shared = summary[summary["shared"]].drop(columns=x)
    every = pd.DataFrame({x: pd.array(sorted(values), dtype=summary[x].dtype)})
    return pd.concat([summary[~summary["shared"]], shared.merge(every, how="cross")])


def _sorted(summary: pd.DataFrame, norms: Sequence[str], x: str) -> pd.DataFrame:
    rank = {name: place for place, name in enumerate([*norms, *STATISTICS])}
    keys = [summary["statistics"].map(rank), summary[x].astype(float), summary["norm"].map(rank)]
    if "variant" in summary:
        first_seen = {name: place for place, name in enumerate(summary["variant"].unique())}
        keys.insert(2, summary["variant"].map(first_seen))
    return summary.iloc[np.lexsort(keys)].reset_index(drop=True)
