"""The table of effects as text: what is pasted into a README or a paper."""

from __future__ import annotations

import pytest

from bnrepro.analysis.effects import find_effects
from bnrepro.analysis.results import load_results
from bnrepro.analysis.text import TextTable, effect_table, error_grid, latex, markdown, plain

ERRORS = {1: (0.0, 0.0, 0.0), 2: (48.0, 50.0, 52.0), 4: (6.0, 6.5, 7.0), 32: (2.0, 2.5, 3.0)}
SWEEP = {
    "norms": ("bn", "gn"),
    "batch_sizes": (1, 2, 4, 32),
    "seeds": (0, 1, 2),
    "error": lambda norm, size, seed: {
        "running": ERRORS.get(size, ERRORS[2])[seed] if norm == "bn" else 3.0 + seed
    },
    "states": {f"bn-b1-s{seed}": "failed" for seed in range(3)},
}


def table(sweep, **options) -> TextTable:
    summary = load_results([sweep(**SWEEP | options)]).summary
    return effect_table(find_effects(summary, baseline=32), "batch_size")


def test_each_row_has_mean_difference_interval_and_p(sweep) -> None:
    """+47.5: scipy.stats.ttest_ind gives [42.89, 52.11] and p = 0.00030, twice that after Holm."""
    rows = table(sweep).rows
    assert rows[0][:3] == ("bn", "1", "failed")
    assert rows[1][:5] == ("bn", "2", "50.00 ± 2.00 (3)", "+47.50 [+42.89, +52.11]", "< 0.001")
    assert rows[3][3:5] == ("–", "–")
    assert rows[4][5:] == ("–", "–")


def test_the_answer_is_said_in_words(sweep) -> None:
    notes = table(sweep).notes
    assert "bn: significantly worse (p < 0.05) than at 32 at batch_size 2, 4; failed at 1." in notes
    assert "gn: nowhere significantly worse (p < 0.05) than at 32." in notes


def test_one_seed_has_no_answer(sweep) -> None:
    (_, bn, _) = table(sweep, seeds=(0,), states={}).notes
    assert bn.startswith("bn: baseline 32, no p-values")


def test_a_norm_that_was_trained_once_is_one_row(sweep) -> None:
    rows = table(sweep, protocol="fixed_sgd", states={}).rows
    assert [row[:2] for row in rows if row[0] == "gn"] == [("gn", "all")]


def test_the_grid_has_a_row_per_batch_size_and_a_column_per_norm(sweep) -> None:
    states = SWEEP["states"] | {f"gn-b2-s{seed}": "diverged" for seed in range(3)} | {"gn-b4-s0": "missing"}
    grid = error_grid(load_results([sweep(**SWEEP | {"states": states})]).summary, "batch_size")
    lines = plain(grid)
    assert [line.split() for line in lines[:3]] == [
        ["batch_size", "bn", "gn"],
        ["1", "failed", "4.00", "±", "1.00", "(3)"],
        ["2", "50.00", "±", "2.00", "(3)", "diverged", "(3)"],
    ]
    assert lines[3].endswith("4.50 ± 0.71 (2)")


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (markdown, "| my\\_norm\\|\\<b\\> | 48.0 ± 2.0 |\n"),
        (latex, "my\\_norm|$<$b$>$ & 48.0 $\\pm$ 2.0 \\\\\n"),
    ],
)
def test_names_cannot_break_the_table(write, wanted: str) -> None:
    text = write(TextTable(("norm", "error"), (("my_norm|<b>", "48.0 ± 2.0"),), left=1))
    assert wanted in text
