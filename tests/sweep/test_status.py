"""A user would wait for cells that nobody works on."""

import json

import pytest

from bnrepro.rundir import result as result_files
from bnrepro.rundir.lock import exclusive
from bnrepro.sweep.directory import read_sweep, write_sweep
from bnrepro.sweep.plan import Axes, plan_sweep, sweep_json
from bnrepro.sweep.status import is_locked, sweep_status

PROGRESS = {"step": 100, "epoch": 2, "images_per_second": 200.0}


@pytest.fixture
def sweep(tmp_path):
    plan = plan_sweep([], Axes(("bn",), (4,), (0, 1, 2, 3, 4, 5)), 1437)
    write_sweep(tmp_path, sweep_json(plan))
    for cell in plan.cells:
        cell.directory(tmp_path).mkdir(parents=True)
    return tmp_path


def cell(sweep, seed):
    return sweep / "cells" / f"bn-b4-s{seed}"


def write_result(sweep, seed, status, error, message=""):
    (planned,) = (each for each in read_sweep(sweep)["cells"] if each["seed"] == seed)
    result = {key: planned[key] for key in ("norm", "batch_size", "seed", "config_hash")} | {
        "schema": 1,
        "status": status,
        "protocol": "coupled",
        "model": "resnet8",
        "epochs": 10,
        "error": error,
        "message": message,
        "wall_seconds": 1.0,
        "images_per_second": 100.0,
        "last_errors": {name: [value] for name, value in error.items()} if status == "completed" else {},
    }
    result_files.write_result(cell(sweep, seed), result)


def test_every_state_is_told_from_the_files(sweep):
    write_result(sweep, 0, "completed", {"running": 12.5})
    write_result(sweep, 1, "diverged", {"running": 90.0}, "loss is nan at step 3")
    write_result(sweep, 2, "failed", {}, "RuntimeError: no memory")
    for seed in (3, 4):
        (cell(sweep, seed) / "progress.json").write_text(json.dumps(PROGRESS))
        (cell(sweep, seed) / "checkpoint.pt").touch()
    with exclusive(cell(sweep, 3), "a run"):
        states = sweep_status(sweep)
    assert [state.state for state in states] == [
        *("completed", "diverged", "failed", "running", "interrupted", "pending"),
    ]
    assert states[0].step == states[0].total_steps == 3590
    assert states[0].error == {"running": 12.5}
    assert states[1].message == "loss is nan at step 3"
    assert (states[3].step, states[3].epoch) == (100, 2)
    assert states[3].seconds_left == pytest.approx((3590 - 100) * 4 / 200)
    assert states[4].seconds_left is None


def test_a_cell_that_was_planned_but_has_no_directory_is_pending(tmp_path):
    write_sweep(tmp_path, sweep_json(plan_sweep([], Axes(("bn",), (4,), (0,)), 1437)))
    assert [state.state for state in sweep_status(tmp_path)] == ["pending"]


def test_looking_leaves_no_traces(sweep):
    before = sorted(path for path in sweep.rglob("*"))
    sweep_status(sweep)
    assert sorted(path for path in sweep.rglob("*")) == before
    assert not is_locked(sweep / "nowhere")


def test_a_progress_that_is_being_written_is_no_error(sweep):
    (cell(sweep, 0) / "progress.json").write_text('{"step": 1')
    with exclusive(cell(sweep, 0), "a run"):
        assert sweep_status(sweep)[0].state == "running"
