"""Each of Slurm's answers as the state of a cell: what a user is told, and whether it is submitted again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from written_runs import write_completed, write_plan

from bnrepro.rundir.files import make_directory, write_json
from bnrepro.rundir.lock import exclusive
from bnrepro.sweep.plan import Plan
from bnrepro.sweep.slurm.jobs import Job, add_jobs
from bnrepro.sweep.slurm.states import slurm_status

CELLS = ("bn-b1-s0", "bn-b2-s0")
SCRIPT = ".submission_file_1.sh"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of a sweep whose cells take 100 and 50 steps."""
    return write_plan(tmp_path, "epochs=1", sizes=(1, 2), images=100)


@pytest.fixture
def sweep(tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep whose two cells are with task 7_0."""
    add_jobs(tmp_path, [Job("7_0", SCRIPT, CELLS)])
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    answer(tmp_path, "squeue", "")
    answer(tmp_path, "sacct", "")
    return tmp_path


def answer(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.txt").write_text(text)
    (folder / name).write_text(f'#!/bin/sh\ncat "{folder}/{name}.txt"\n')
    (folder / name).chmod(0o755)


def states(folder: Path) -> list[tuple[str, str]]:
    return [(status.state, status.message) for status in slurm_status(folder)[0]]


def test_a_waiting_job_shows_slurms_reason(sweep: Path) -> None:
    answer(sweep, "squeue", f"7_0|PENDING|Priority|1:00:00|1000|/x/{SCRIPT}\n")
    assert states(sweep) == [("pending", "job 7_0: Priority")] * 2


def test_a_task_is_at_its_first_cell_without_a_result(sweep: Path, plan: Plan) -> None:
    answer(sweep, "squeue", f"7_0|RUNNING|None|59:00|1000|/x/{SCRIPT}\n")
    cell = sweep / "cells" / CELLS[0]
    make_directory(cell)
    write_json(cell / "progress.json", {"step": 50, "epoch": 1, "images_per_second": 10.0})
    assert states(sweep) == [
        ("running", "job 7_0, 59:00 to its time limit"),
        ("pending", f"job 7_0: after {CELLS[0]}"),
    ]
    running = slurm_status(sweep)[0][0]
    assert (running.step, running.epoch, running.seconds_left) == (50, 1, 5.0)
    write_completed(cell, plan.cells[0].config, {"running": 1.0})
    assert [state for state, _ in states(sweep)] == ["completed", "running"]


@pytest.mark.parametrize(
    ("slurms", "ours"),
    [
        ("CANCELLED by 1000", "cancelled"),
        ("TIMEOUT", "timed out"),
        ("DEADLINE", "timed out"),
        ("FAILED", "failed"),
        ("NODE_FAIL", "lost"),
        ("OUT_OF_MEMORY", "lost"),
        ("PREEMPTED", "lost"),
        ("COMPLETED", "lost"),
    ],
)
def test_the_accounting_tells_how_a_job_ended(sweep: Path, slurms: str, ours: str) -> None:
    answer(sweep, "sacct", f"7_0|{slurms}\n")
    state, message = states(sweep)[0]
    assert state == ours
    assert message == f"job 7_0 ended ({slurms.split()[0]}); its log: slurm/7_0_0_log.out"


def test_the_queue_remembers_an_ended_job_for_minutes_without_accounting(sweep: Path) -> None:
    (sweep / "sacct").unlink()
    answer(sweep, "squeue", f"7_0|TIMEOUT|TimeLimit|0:00|1000|/x/{SCRIPT}\n")
    assert states(sweep)[0][0] == "timed out"


def test_a_cell_that_another_process_trains_is_running_whatever_became_of_its_job(sweep: Path) -> None:
    with exclusive(sweep / "cells" / CELLS[0], "a run"):
        assert [state for state, _ in states(sweep)] == ["running", "lost"]
    assert [state for state, _ in states(sweep)] == ["lost", "lost"]


def test_a_job_that_nobody_remembers_is_lost(sweep: Path) -> None:
    assert states(sweep)[0] == ("lost", "job 7_0 ended (unknown to Slurm); its log: slurm/7_0_0_log.out")


def test_a_cell_that_was_never_submitted_is_pending(sweep: Path) -> None:
    write_plan(sweep, "epochs=1", norms=("bn", "gn"), sizes=(1, 2), images=100)
    assert states(sweep)[-1] == ("pending", "")


def test_a_controller_that_does_not_answer_leaves_the_files(sweep: Path) -> None:
    (sweep / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: no route' >&2; exit 1\n")
    cells, remark = slurm_status(sweep)
    assert [cell.state for cell in cells] == ["pending", "pending"]
    assert remark == "from the files alone: squeue: slurm_load_jobs error: no route"
