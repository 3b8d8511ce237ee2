"""A sweep of 10,000 cells is planned, resumed and looked at in seconds: nothing grows with their square."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import call

from bnrepro.sweep.cost import longest_first
from bnrepro.sweep.directory import write_sweep
from bnrepro.sweep.lockstep import in_groups, settle
from bnrepro.sweep.plan import Axes, Plan, plan_sweep, sweep_json
from bnrepro.sweep.run import finished_cells
from bnrepro.sweep.view import View

SEEDS = 2000
SECONDS = 15.0
"""Of processor time for each task; about 2 s on the machine it was written on."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_sweep(
        ["experiment=cifar10_quick"], Axes(("gn",), (1, 2, 4, 8, 16), tuple(range(SEEDS))), 10_240
    )


@pytest.fixture(scope="module")
def directory(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose cells are all over."""
    path = tmp_path_factory.mktemp("many")
    sweep = sweep_json(plan)
    write_sweep(path, sweep)
    for cell in sweep["cells"]:
        run = path / "cells" / cell["id"]
        run.mkdir(parents=True)
        (run / "result.json").write_text(json.dumps(_result(cell)))
    return path


def _result(cell: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": "completed",
        "error": {"running": 50.0},
        "message": "",
        "config_hash": cell["config_hash"],
    }


def test_planning_composes_per_norm_and_not_per_cell() -> None:
    start = time.process_time()
    axes = Axes(("bn", "gn"), (1, 2, 4, 8, 16), tuple(range(1000)))
    cells = sweep_json(plan_sweep(["experiment=cifar10_quick"], axes, 10_240))["cells"]
    assert len({cell["config_hash"] for cell in cells}) == 10_000
    assert time.process_time() - start < SECONDS


def test_resuming_finds_what_is_finished(plan: Plan, directory: Path) -> None:
    start = time.process_time()
    write_sweep(directory, sweep_json(plan))
    done = finished_cells(plan, directory)
    assert len(done) == len(plan.cells)
    groups = in_groups(plan.cells, settle(plan, directory, None, done, print))
    assert len(longest_first(groups)) == len(plan.cells)
    assert time.process_time() - start < SECONDS


def test_status_lists_every_cell(plan: Plan, directory: Path) -> None:
    start = time.process_time()
    ended = call("status", str(directory))
    assert len(ended.out.splitlines()) == len(plan.cells) + 2
    assert "10000 completed" in ended.out
    assert time.process_time() - start < SECONDS


def test_the_time_left_does_not_go_through_all_cells_at_each_look(plan: Plan) -> None:
    start = time.process_time()
    result = {"status": "diverged", "norm": "gn", "batch_size": 1, "seed": 0, "message": "", "error": {}}
    with View(plan.cells, 0, 2) as view:
        for cell in plan.cells:
            view.started(cell)
            view.finished(cell, result)
            view.refresh()
            view.seconds_left()
    assert view.seconds_left() in (None, 0.0) or abs(view.seconds_left() or 0.0) < 1e-3
    assert time.process_time() - start < SECONDS
