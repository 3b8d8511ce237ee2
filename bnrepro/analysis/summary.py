"""Mean, spread and interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # scipy.stats.t.ppf, without the second that importing scipy.stats takes

from bnrepro.analysis.table import ERROR_COLUMNS
from bnrepro.config.validate import STATISTICS

CONFIDENCE = 0.95
COLUMNS = (
    *("norm", "batch_size", "statistics", "shared", "n", "n_diverged", "n_failed"),
    *("mean", "sd", "low", "high"),
)


def summarize(table: pd.DataFrame, norms: Sequence[str], batch_sizes: Sequence[int]) -> pd.DataFrame:
    """A row per norm × batch size × statistics, in the order of `norms`, then of rising batch size.

    `n` counts the seeds with an error, diverged runs (`n_diverged` of them) with that of chance: leaving
    them out would flatter a norm. `n_failed` runs have no error. `mean` and `sd` (n − 1) are percent;
    `low` and `high` are the 95 % t-interval of the mean, mean ± t(0.975, n − 1) · sd / √n, empty for one
    seed. A `shared` cell (trained once per seed for every batch size) has a row at each of `batch_sizes`.
    """
    state = table[["norm", "batch_size", "shared"]].assign(
        n_diverged=table["status"] == "diverged", n_failed=table["status"] == "failed"
    )
    per_statistic = [
        state.assign(statistics=statistic, error=table[column])
        for statistic, column in zip(STATISTICS, ERROR_COLUMNS, strict=True)
    ]
    groups = pd.concat(per_statistic).groupby(["norm", "batch_size", "statistics", "shared"], sort=False)
    summary = groups.agg(
        n=("error", "count"),
        n_diverged=("n_diverged", "sum"),
        n_failed=("n_failed", "sum"),
        mean=("error", "mean"),
        sd=("error", "std"),
    ).reset_index()
    only_failed = (summary["statistics"] == "running") & (summary["n_failed"] > 0)
    summary = summary[(summary["n"] > 0) | only_failed]
    half = _half_width(summary["n"].to_numpy(), summary["sd"].to_numpy())
    summary = summary.assign(low=summary["mean"] - half, high=summary["mean"] + half)
    return _sorted(_at_every_size(summary, batch_sizes), norms)[list(COLUMNS)]


def _half_width(n: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Half of the t-interval's width; NaN below two values."""
    enough = n >= 2
    degrees = np.where(enough, n - 1, 1)
    t = stdtrit(degrees, (1 + CONFIDENCE) / 2)
    return np.where(enough, t * sd / np.sqrt(degrees + 1), np.nan)


def _at_every_size(summary: pd.DataFrame, batch_sizes: Sequence[int]) -> pd.DataFrame:
    shared = summary[summary["shared"]].drop(columns="batch_size")
    sizes = pd.DataFrame({"batch_size": pd.array(sorted(batch_sizes), dtype="Int64")})
    return pd.concat([summary[~summary["shared"]], shared.merge(sizes, how="cross")])


def _sorted(summary: pd.DataFrame, norms: Sequence[str]) -> pd.DataFrame:
    rank = {name: place for place, name in enumerate([*norms, *STATISTICS])}
    order = pd.DataFrame(
        {
            "norm": summary["norm"].map(rank),
            "batch_size": summary["batch_size"],
            "statistics": summary["statistics"].map(rank),
        }
    )
    places = np.lexsort([order["statistics"], order["batch_size"].astype(int), order["norm"]])
    return summary.iloc[places].reset_index(drop=True)
