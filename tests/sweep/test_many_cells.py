"""A sweep of 10,000 cells is planned, resumed and looked at in seconds: nothing grows with their square."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import call

from bnrepro.rundir.result import write_result
from bnrepro.sweep.cost import longest_first
from bnrepro.sweep.directory import write_sweep
from bnrepro.sweep.lockstep import decide, in_groups, keep_decision
from bnrepro.sweep.plan import Axes, Cell, Plan, plan_sweep, sweep_json
from bnrepro.sweep.run import find_cells
from bnrepro.sweep.view import View

FEW, MANY = 1_000, 10_000
SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Sweep:
    """A planned sweep, and its directory where all cells are over."""

    plan: Plan
    directory: Path

    @property
    def cells(self) -> int:
        return len(self.plan.cells)


def plan_of(cells: int) -> Plan:
    axes = Axes(("gn",), SIZES, tuple(range(cells // len(SIZES))))
    return plan_sweep(["experiment=cifar10_quick"], axes, 10_240)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> list[Sweep]:
    made = []
    for cells in (FEW, MANY):
        path, plan = tmp_path_factory.mktemp("many"), plan_of(cells)
        write_sweep(path, sweep_json(plan))
        for cell in plan.cells:
            run = cell.directory(path)
            run.mkdir(parents=True)
            write_result(run, _result(cell))
        made.append(Sweep(plan, path))
    return made


def _result(cell: Cell) -> dict[str, Any]:
    return {
        **cell.identity,
        "status": "completed",
        "error": {"running": 50.0},
        "last_errors": {"running": [50.0]},
        "message": "",
        "wall_seconds": 1.0,
        "images_per_second": 1.0,
    }


def assert_linear(action: Callable[[Sweep], object], sweeps: list[Sweep]) -> None:
    """Ten times the cells take ten times the processor time or less; a square would take a hundred times."""
    seconds = []
    for sweep in sweeps:
        start = time.process_time()
        action(sweep)
        seconds.append(time.process_time() - start)
    few, many = seconds
    assert many < 40 * few


def test_planning_composes_per_norm_and_not_per_cell(sweeps: list[Sweep]) -> None:
    def plan(sweep: Sweep) -> None:
        cells = sweep_json(plan_of(sweep.cells))["cells"]
        assert len({cell["config_hash"] for cell in cells}) == sweep.cells

    assert_linear(plan, sweeps)


def test_resuming_finds_what_is_finished(sweeps: list[Sweep]) -> None:
    def resume(sweep: Sweep) -> None:
        write_sweep(sweep.directory, sweep_json(sweep.plan))
        done = find_cells(sweep.plan, sweep.directory).done
        assert len(done) == sweep.cells
        decided = decide(sweep.plan, sweep.directory, None, done, print)
        groups = in_groups(sweep.plan.cells, keep_decision(sweep.directory, decided))
        assert len(longest_first(groups)) == sweep.cells

    assert_linear(resume, sweeps)


def test_status_lists_every_cell(sweeps: list[Sweep]) -> None:
    def status(sweep: Sweep) -> None:
        ended = call("status", str(sweep.directory))
        assert len(ended.out.splitlines()) == sweep.cells + 2
        assert f"{sweep.cells} completed" in ended.out

    assert_linear(status, sweeps)


def test_the_time_left_does_not_go_through_all_cells_at_each_look(sweeps: list[Sweep]) -> None:
    result = {"status": "diverged", "norm": "gn", "batch_size": 1, "seed": 0, "message": "", "error": {}}

    def look(sweep: Sweep) -> None:
        with View([[cell] for cell in sweep.plan.cells], 0, 2) as view:
            for cell in sweep.plan.cells:
                view.started(cell)
                view.finished(cell, result)
                view.refresh()
                view.seconds_left()
        assert view.seconds_left() in (None, 0.0) or abs(view.seconds_left() or 0.0) < 1e-3

    assert_linear(look, sweeps)
