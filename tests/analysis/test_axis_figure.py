"""A reader of a sweep over a key would take its figure and tables for one over batch sizes."""

import json
from pathlib import Path

import pandas as pd
import pytest
from tiny_runs import call

from bnrepro.analysis import load_table
from bnrepro.analysis.effects import find_effects
from bnrepro.analysis.results import load_results

RATES = (0.1, 0.2, 0.4, 0.8)


def over_rates(path: Path) -> Path:
    """A sweep over batch sizes 1, 2, 4, 8 as one over learning rates at batch size 32."""
    plan = json.loads((path / "sweep.json").read_text())
    rate = dict(zip(plan.pop("batch_sizes"), RATES, strict=True))
    axis = {"key": "optimizer.base_lr", "short": "base_lr", "label": "optimizer.base_lr", "scale": "log2"}
    plan |= {"schema": 2, "axis": axis | {"values": RATES}}
    for cell in plan["cells"]:
        result = path / "cells" / cell["id"] / "result.json"
        cell |= {"x": rate[cell["batch_size"]], "batch_size": 32}
        if cell["norm_batch_size"] is not None:
            cell["norm_batch_size"] = 32
        changed = json.loads(result.read_text()) | {"batch_size": 32}
        result.write_text(json.dumps(changed))
    (path / "sweep.json").write_text(json.dumps(plan))
    return path


@pytest.fixture
def path(sweep) -> Path:
    return over_rates(sweep(norms=("bn", "gn"), batch_sizes=(1, 2, 4, 8), seeds=(0, 1, 2)))


def test_tables_have_a_row_per_value(path: Path) -> None:
    table = load_table(path)
    assert sorted(table["x"].unique()) == list(RATES)
    assert set(table["batch_size"]) == {32}
    summary = load_results([path]).summary
    assert list(summary.loc[summary["norm"] == "gn", "x"]) == list(RATES)
    assert set(summary["n"]) == {3}


def test_the_figure_says_what_varies_and_what_does_not(path: Path, tmp_path: Path) -> None:
    ended = call("plot", str(path), "--format", "svg,md", "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    drawn = (tmp_path / "out" / "figure.svg").read_text()
    assert "optimizer.base_lr" in drawn
    assert "batch size 32" in drawn
    assert all(f">{rate}<" in drawn for rate in RATES)
    assert "| norm | optimizer.base\\_lr |" in (tmp_path / "out" / "effects.md").read_text()
    assert ended.out.split("\n")[0].split()[:2] == ["norm", "optimizer.base_lr"]
    assert list(pd.read_csv(tmp_path / "out" / "effects.csv")["x"].unique()) == list(RATES)


def test_the_baseline_is_the_best_value_however_small(path: Path) -> None:
    """From 16 on is a rule for batch sizes: a rate of 0.1 may be the best."""
    effects = find_effects(summary := load_results([path]).summary, "x")
    for norm in ("bn", "gn"):
        rows = summary[(summary["norm"] == norm) & (summary["statistics"] == "running")]
        best = rows.loc[rows["mean"].idxmin(), "x"]
        mine = effects[(effects["norm"] == norm) & (effects["statistics"] == "running")]
        assert set(mine["baseline"]) == {best}


def test_sweeps_over_different_keys_are_not_drawn_together(path: Path, sweep, tmp_path: Path) -> None:
    other = sweep("other", norms=("bn", "gn"), batch_sizes=(1, 2, 4, 8))
    refused = call("plot", str(path), str(other), "--out", str(tmp_path / "out"))
    assert refused.code == 2
    assert "optimizer.base_lr" in refused.err
    assert "no common x axis" in refused.err


def test_published_points_stand_at_batch_sizes_alone(path: Path, tmp_path: Path) -> None:
    refused = call("plot", str(path), "--reference", "wu_he_2018", "--out", str(tmp_path / "out"))
    assert refused.code == 2
    assert "this is a sweep over optimizer.base_lr" in refused.err


def test_sweeps_over_the_same_key_come_together(sweep) -> None:
    """Their values were taken for one cell twice, and no two such sweeps could be drawn."""
    what = {"norms": ("bn",), "batch_sizes": (1, 2, 4, 8)}
    paths = [over_rates(sweep(str(seed), seeds=(seed,), **what)) for seed in (0, 1)]
    summary = load_results([*paths, paths[0]]).summary
    running = summary[summary["statistics"] == "running"]
    assert list(zip(running["x"], running["n"], strict=True)) == [(rate, 2) for rate in RATES]
