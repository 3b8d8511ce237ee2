"""Mean and interval: a user would report a wrong n, or an interval that is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bnrepro.analysis import load_table
from bnrepro.analysis.summary import summarize

ERRORS = (50.0, 51.5, 47.25)


def by_seed(norm: str, batch_size: int, seed: int) -> dict[str, float]:
    return {"running": ERRORS[seed], "precise": ERRORS[seed] - 1}


def summary_of(path, norms, batch_sizes):
    return summarize(load_table(path), norms, batch_sizes)


def test_mean_and_t_interval_are_scipys(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(4,), seeds=(0, 1, 2), error=by_seed)
    row = summary_of(path, ["bn"], [4]).iloc[0]
    low, high = stats.t.interval(0.95, df=2, loc=np.mean(ERRORS), scale=stats.sem(ERRORS))
    assert (row["n"], row["statistics"]) == (3, "running")
    assert row["mean"] == pytest.approx(np.mean(ERRORS))
    assert row["sd"] == pytest.approx(np.std(ERRORS, ddof=1))
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_one_seed_has_no_interval(sweep) -> None:
    row = summary_of(sweep(norms=("bn",), batch_sizes=(4,), error=by_seed), ["bn"], [4]).iloc[0]
    assert row["n"] == 1
    assert row[["sd", "low", "high"]].isna().all()


def test_diverged_runs_count_with_chance_and_failed_ones_do_not_count(sweep) -> None:
    """Leaving out what diverged would flatter the norm."""
    states = {"bn-b4-s0": "diverged", "bn-b4-s1": "failed"}
    path = sweep(norms=("bn",), batch_sizes=(4,), seeds=(0, 1, 2), error=by_seed, states=states)
    row = summary_of(path, ["bn"], [4]).iloc[0]
    assert (row["n"], row["n_diverged"], row["n_failed"]) == (2, 1, 1)
    assert row["mean"] == pytest.approx((90 + ERRORS[2]) / 2)


def test_where_all_failed_a_row_says_so(sweep) -> None:
    summary = summary_of(sweep(norms=("bn",), batch_sizes=(1,), states={"bn-b1-s0": "failed"}), ["bn"], [1])
    assert summary[["n", "n_failed"]].to_numpy().tolist() == [[0, 1]]
    assert summary["mean"].isna().all()


def test_rows_follow_the_sweeps_norms_then_batch_size_then_statistics(sweep) -> None:
    path = sweep(norms=("none", "bn"), batch_sizes=(4, 1), error=by_seed)
    summary = summary_of(path, ["none", "bn"], [4, 1])
    assert summary[["norm", "batch_size", "statistics"]].drop_duplicates().to_numpy().tolist()[:4] == [
        ["none", 1, "running"],
        ["none", 1, "precise"],
        ["none", 4, "running"],
        ["none", 4, "precise"],
    ]


def test_a_norm_trained_once_has_a_row_at_each_batch_size_marked_shared(sweep) -> None:
    """In fixed_sgd a norm that sees no batch has one cell, and holds at every x."""
    sizes = (1, 16, 256)
    path = sweep(norms=("bn", "gn"), batch_sizes=sizes, seeds=(0, 1), protocol="fixed_sgd")
    summary = summary_of(path, ["bn", "gn"], sizes)
    gn = summary[summary["norm"] == "gn"]
    assert list(gn["batch_size"]) == [1, 16, 256]
    assert gn["shared"].all()
    assert gn["mean"].nunique() == 1
    assert not summary.loc[summary["norm"] == "bn", "shared"].any()
    assert (load_table(path)["norm"] == "gn").sum() == 2
