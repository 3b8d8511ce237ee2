"""Effects: a user would report a difference, an interval or a p-value that is not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnrepro.analysis import load_table
from bnrepro.analysis.effects import find_effects, holm, significantly_worse, welch
from bnrepro.analysis.summary import summarize

SEEDS = (0, 1, 2, 3)
DRAWS = np.random.default_rng(0).normal(size=(3, 64, 4))
ROWS = {"bn": 0, "gn": 1, "none": 2}


def noisy(norm: str, size: int, seed: int) -> dict[str, float]:
    """bn rises at 2 and below; gn is flat."""
    level = {1: 60.0, 2: 48.0}.get(size, 10.0) if norm == "bn" else 12.0
    return {"running": level + DRAWS[ROWS[norm], size.bit_length(), seed]}


def effects_of(path, norms, sizes, baseline=None) -> pd.DataFrame:
    summary = summarize(load_table(path), norms, sizes)
    return find_effects(summary, baseline=baseline).set_index(["norm", "batch_size"])


@pytest.mark.parametrize(("n", "n2"), [(3, 3), (2, 5), (10, 4)])
def test_welch_is_scipys(n: int, n2: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(50, 4, n), rng.normal(47, 1, n2)
    found = welch(
        *(np.array([value], dtype=float) for value in (a.mean(), a.std(ddof=1), n)),
        *(np.array([value], dtype=float) for value in (b.mean(), b.std(ddof=1), n2)),
    )
    wanted = stats.ttest_ind(a, b, equal_var=False)
    interval = wanted.confidence_interval(0.95)
    assert found.difference[0] == pytest.approx(a.mean() - b.mean())
    assert found.p[0] == pytest.approx(wanted.pvalue)
    assert (found.low[0], found.high[0]) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_a_difference_but_no_interval_and_no_p() -> None:
    one, three = np.array([1.0]), np.array([3.0])
    found = welch(np.array([50.0]), np.array([np.nan]), one, np.array([40.0]), np.array([1.0]), three)
    assert found.difference[0] == 10
    assert np.isnan([found.low[0], found.high[0], found.p[0]]).all()


def test_two_samples_without_spread_have_no_p() -> None:
    """Both diverged: chance in every seed is no proof of a difference of zero."""
    same = (np.array([90.0]), np.array([0.0]), np.array([3.0]))
    assert np.isnan(welch(*same, *same).p[0])


def test_holm_worked_by_hand() -> None:
    """Holm 1979: 0.01·3, then 0.02·2 → 0.04, then max(0.04, 0.03·1); a NaN is not in the family."""
    assert holm(np.array([0.03, 0.01, np.nan, 0.02])) == pytest.approx(
        [0.04, 0.03, np.nan, 0.04], nan_ok=True
    )
    assert holm(np.array([0.6, 0.9])) == pytest.approx([1.0, 1.0])


def test_at_which_sizes_batch_norm_is_worse_than_at_32(sweep) -> None:
    """The question that the figure is read for."""
    sizes = (1, 2, 4, 8, 32)
    path = sweep(norms=("bn", "gn"), batch_sizes=sizes, seeds=SEEDS, error=noisy)
    effects = effects_of(path, ["bn", "gn"], sizes, baseline=32)
    worse = effects[significantly_worse(effects)]
    assert list(worse.index) == [("bn", 1), ("bn", 2)]
    assert effects["baseline"].eq(32).all()
    samples = [[noisy("bn", size, seed)["running"] for seed in SEEDS] for size in (2, 32)]
    p = stats.ttest_ind(*samples, equal_var=False).pvalue
    assert effects.loc[("bn", 2), "baseline_p"] == pytest.approx(p)
    assert effects.loc[("bn", 2), "baseline_p_holm"] == pytest.approx(p * 3)
    assert np.isnan(effects.loc[("bn", 32), "baseline_p"])


def test_the_baseline_is_each_norms_best_size_from_16_on(sweep) -> None:
    errors = {4: 5.0, 16: 9.0, 64: 8.0}
    path = sweep(
        norms=("bn",), batch_sizes=(4, 16, 64), error=lambda _, size, seed: {"running": errors[size]}
    )
    assert effects_of(path, ["bn"], errors)["baseline"].eq(64).all()


def test_without_sizes_from_16_on_the_baseline_is_the_largest(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1, 2, 4))
    assert effects_of(path, ["bn"], (1, 2, 4))["baseline"].eq(4).all()


def test_the_difference_to_group_norm_is_at_the_same_size(sweep) -> None:
    path = sweep(norms=("bn", "gn"), batch_sizes=(2, 32), seeds=SEEDS, error=noisy)
    effects = effects_of(path, ["bn", "gn"], (2, 32))
    samples = [[noisy(norm, 2, seed)["running"] for seed in SEEDS] for norm in ("bn", "gn")]
    wanted = stats.ttest_ind(*samples, equal_var=False)
    assert effects.loc[("bn", 2), "gn_difference"] == pytest.approx(np.mean(samples[0]) - np.mean(samples[1]))
    assert effects.loc[("bn", 2), "gn_p"] == pytest.approx(wanted.pvalue)
    assert effects.loc["gn", "gn_difference"].isna().all()


def test_a_norm_trained_once_is_not_compared_with_itself_but_others_are_with_it(sweep) -> None:
    sizes = (2, 32)
    path = sweep(norms=("bn", "gn"), batch_sizes=sizes, seeds=SEEDS, protocol="fixed_sgd", error=noisy)
    effects = effects_of(path, ["bn", "gn"], sizes)
    assert effects.loc["gn", "baseline_difference"].isna().all()
    assert effects.loc["bn", "gn_p"].notna().all()


def test_a_failed_cell_has_no_difference(sweep) -> None:
    states = {f"bn-b1-s{seed}": "failed" for seed in SEEDS}
    path = sweep(norms=("bn", "gn"), batch_sizes=(1, 32), seeds=SEEDS, states=states, error=noisy)
    row = effects_of(path, ["bn", "gn"], (1, 32)).loc[("bn", 1)]
    assert (row["n"], row["n_failed"]) == (0, 4)
    assert np.isnan(row[["baseline_difference", "gn_difference"]].to_numpy(dtype=float)).all()
