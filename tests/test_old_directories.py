"""A user who upgrades would lose finished cells, a checkpoint, or the jobs that wait in a queue.

`data_old/` was written by commit 2582b2c with torch 2.15.0 on a CPU: a sweep of a finished and an interrupted
cell, and the objects that a worker process and Slurm are sent.
"""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from tiny_runs import call

from bnrepro.analysis import load_table
from bnrepro.sweep.slurm.job import SlurmTask
from bnrepro.sweep.slurm.jobs import Job, add_jobs
from bnrepro.sweep.status import sweep_status
from bnrepro.sweep.worker import Task
from bnrepro.training.run import run

OLD = Path(__file__).parent / "data_old"
SWEEP = (
    *("sweep", "batch-size", "--norms", "bn,gn", "--batch-sizes", "16", "--seeds", "0", "--jobs", "1"),
    *("data.train_subset=64", "epochs=3", "evaluation.every=1", "evaluation.precise_images=64"),
    *("tensorboard=false", "device=cpu"),
)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return shutil.copytree(OLD / "sweep", tmp_path / "sweep")


def metrics(cell: Path) -> list[str]:
    return (cell / "metrics.jsonl").read_text().splitlines()


def status(cell: Path) -> str:
    return json.loads((cell / "result.json").read_text())["status"]


def test_its_state_is_known(sweep):
    found = {cell.id: (cell.state, cell.step) for cell in sweep_status(sweep)}
    assert found == {"bn-b16-s0": ("completed", 12), "gn-b16-s0": ("interrupted", 4)}
    assert call("status", str(sweep)).code == 0


def test_its_table_and_figure_are_drawn(sweep):
    (row,) = load_table(sweep).to_dict("records")
    old = json.loads((OLD / "sweep/cells/bn-b16-s0/result.json").read_text())
    assert row["id"] == "bn-b16-s0"
    assert row["error_running"] == old["error"]["running"]
    done = call("plot", str(sweep), "--format", "svg")
    assert done.code == 0, done.err
    assert (sweep / "figure.svg").exists()


def test_the_command_that_made_it_trains_what_is_missing_and_nothing_else(sweep):
    finished, interrupted = sweep / "cells/bn-b16-s0", sweep / "cells/gn-b16-s0"
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    first_epoch = metrics(interrupted)
    done = call(*SWEEP, "--out", str(sweep))
    assert done.code == 0, done.err
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.name != ".lock"} == before
    assert status(interrupted) == "completed"
    assert metrics(interrupted)[:1] == first_epoch  # continued, and not started again
    assert len(metrics(interrupted)) == 3


def test_the_cell_that_a_worker_was_sent_is_run(tmp_path, monkeypatch):
    task = pickle.loads((OLD / "task.pkl").read_bytes())
    assert isinstance(task, Task)
    monkeypatch.chdir(tmp_path)  # the directory in it is relative
    assert run(task.config, task.directory, overrides=task.overrides)["status"] == "completed"


def test_the_job_that_waits_in_slurm_s_queue_is_run(tmp_path, monkeypatch):
    task = pickle.loads((OLD / "slurm_task.pkl").read_bytes())
    assert isinstance(task, SlurmTask)
    monkeypatch.chdir(tmp_path)
    job = {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    for name, value in {"SUBMITIT_EXECUTOR": "slurm", **job}.items():
        monkeypatch.setenv(name, value)
    Path("queued").mkdir()
    add_jobs(Path("queued"), [Job("7_0", "script", ("none-b16-s0",))])
    task()
    assert status(Path("queued/cells/none-b16-s0")) == "completed"
