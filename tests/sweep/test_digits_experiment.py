"""The first figure that a newcomer sees would say the opposite of what the project is about."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from scipy import stats
from tiny_runs import call

COMMITTED = Path(__file__).parents[2] / "results" / "digits"
Rows = dict[tuple[str, int], dict[str, str]]


def read(directory: Path) -> Rows:
    """Norm and batch size -> a row of summary.csv, under the running statistics."""
    with (directory / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["statistics"] == "running"]
    return {(row["norm"], int(row["batch_size"])): row for row in rows}


def worse_at_2_than_at_32(rows: Rows) -> tuple[float, float]:
    """Points, and Welch's p."""
    at = [rows["bn", size] for size in (2, 32)]
    numbers = [value for row in at for value in (float(row["mean"]), float(row["sd"]), int(row["n"]))]
    return numbers[0] - numbers[3], stats.ttest_ind_from_stats(*numbers, equal_var=False).pvalue


def test_the_committed_figure_shows_small_batches_breaking_batch_norm():
    rows = read(COMMITTED)
    points, p = worse_at_2_than_at_32(rows)
    assert points >= 20
    assert p < 0.01
    assert rows["bn", 1]["n_failed"] == "5"
    assert min(int(row["n"]) for (_, size), row in rows.items() if size > 1) >= 3


def test_no_other_norm_depends_on_the_batch():
    for norm in ("gn", "none"):
        means = [float(row["mean"]) for (name, _), row in read(COMMITTED).items() if name == norm]
        assert len(means) == 7
        assert max(means) - min(means) <= 2


@pytest.mark.slow
def test_the_experiment_gives_that_effect_here(tmp_path):
    out = str(tmp_path / "sweep")
    options = (
        "--norms",
        "bn",
        "--batch-sizes",
        "1,2,32",
        "--seeds",
        "0,1,2",
        "--out",
        out,
        "evaluation.every=0",
    )
    ended = call("sweep", "batch-size", "experiment=digits", *options, "--out", out)
    assert ended.code == 1  # one value per channel at 1 is a failure
    assert call("plot", out).code == 0
    points, _ = worse_at_2_than_at_32(read(tmp_path / "sweep"))
    assert points >= 20
    assert read(tmp_path / "sweep")["bn", 1]["n_failed"] == "3"
