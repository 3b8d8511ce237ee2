"""What Slurm is told and what it answers, without a cluster: the script, its environment, the queue."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_sweep import CELL
from tiny_runs import call
from written_runs import write_plan

from bnrepro.config.errors import UsageError
from bnrepro.data import load_data
from bnrepro.sweep.plan import Axes, Plan, plan_sweep
from bnrepro.sweep.slurm import queue
from bnrepro.sweep.slurm.cancel import Cancelled, cancel_sweep
from bnrepro.sweep.slurm.estimate import estimate
from bnrepro.sweep.slurm.jobs import Job, add_jobs, owners, read_jobs
from bnrepro.sweep.slurm.parameters import slurm_config
from bnrepro.sweep.slurm.submit import Submission, submit_sweep

SBATCH = 'cp "$1" "$NOTES/script" && env >"$NOTES/environment" && echo "Submitted batch job 7"'
SRUN = 'printf "%s\\0" "$@" >"$NOTES/arguments"'


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs with the names of Slurm's put what they were given."""
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv("NOTES", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "squeue": "true", "scancel": "false"}.items():
        program(folder / name, text)
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def plan_of(*overrides: str, norms: tuple[str, ...] = ("gn",), sizes: tuple[int, ...] = (16, 32)) -> Plan:
    overrides = ("launcher=slurm", *CELL, *overrides)
    return plan_sweep(overrides, Axes(norms, sizes, (0,)), train_images=128)


def submitted(plan: Plan, directory: Path) -> Submission:
    return submit_sweep(plan, directory, slurm_config(plan.base.launcher), load_data(plan.base.data))


def test_script_says_what_was_asked_for(notes: Path, tmp_path: Path) -> None:
    asked = ("launcher.partition=gpu", "launcher.time=1-0", "launcher.gpus=2", "launcher.array_parallelism=1")
    done = submitted(plan_of(*asked, "launcher.cells_per_job=1"), tmp_path / "sweep")
    lines = (notes / "script").read_text().splitlines()
    assert [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")] == [
        "array=0-1%1",
        "cpus-per-task=1",
        "gpus-per-node=2",
        "job-name=bnrepro-default-coupled",
        "nodes=1",
        "ntasks-per-node=1",
        "open-mode=append",
        f"output={tmp_path}/sweep/slurm/%A_%a_0_log.out",
        "partition=gpu",
        "requeue",
        "signal=USR2@120",
        "time=1440",
    ]
    assert [(job.id, job.cells) for job in done.jobs] == [("7_0", ("gn-b16-s0",)), ("7_1", ("gn-b32-s0",))]
    assert read_jobs(tmp_path / "sweep") == done.jobs


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'the "best"', "$(touch x)", "`touch x`", "a;touch x", "ü#&|<*"]
)
def test_directory_reaches_srun_as_it_is(notes: Path, tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    setup = """launcher.setup=['export A="two words"\nexport B=$A']"""
    submitted(plan_of(setup, "launcher.cells_per_job=2"), directory)
    ran = subprocess.run(["bash", notes / "script"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    arguments = (notes / "arguments").read_text().split("\0")
    assert arguments[:4] == [
        "--unbuffered",
        "--output",
        f"{directory}/slurm/%j_%t_log.out",
        "--cpus-per-task=1",
    ]
    assert arguments[-2] == f"{directory}/slurm"
    assert not (tmp_path / "x").exists()


def test_submitting_from_within_a_job_hands_nothing_of_it_on(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("SBATCH_ACCOUNT", "vision")
    submitted(plan_of(sizes=(16,)), tmp_path / "sweep")
    environment = (notes / "environment").read_text().splitlines()
    assert {"SLURM_CONF=/etc/slurm.conf", "SBATCH_ACCOUNT=vision"} <= set(environment)
    assert not any(line.startswith("SLURM_JOB_ID=") for line in environment)
    assert os.environ["SLURM_JOB_ID"] == "3"


def test_a_queue_that_does_not_answer_stops_the_submission(notes: Path, tmp_path: Path) -> None:
    """Else every hiccup of the controller would double a sweep."""
    submitted(plan_of(sizes=(16,)), tmp_path / "sweep")
    program(notes / "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    (notes / "script").unlink()
    with pytest.raises(UsageError, match=r"squeue: .*Unable to contact"):
        submitted(plan_of(sizes=(16,)), tmp_path / "sweep")
    assert not (notes / "script").exists()


def test_a_foreign_job_with_our_number_is_not_ours(notes: Path, tmp_path: Path) -> None:
    """Numbers start again where a cluster lost its state: cancelling by number would hit a stranger."""
    submitted(plan_of(sizes=(16,)), tmp_path / "sweep")
    program(notes / "squeue", f"echo '7|RUNNING|None|1:00|{os.getuid()}|/home/somebody/else.sh'")
    assert queue.look(read_jobs(tmp_path / "sweep")) == {}
    assert cancel_sweep(tmp_path / "sweep") == Cancelled([], {})


@pytest.mark.parametrize(
    ("user", "folder", "why"),
    [
        (os.getuid(), "/home/me/thesis/slurm", "was submitted from /home/me/thesis/slurm"),
        (os.getuid() + 1, "{sweep}/slurm", f"is a job of the user {os.getuid() + 1}"),
    ],
)
def test_a_forged_slurm_json_cancels_nothing(
    notes: Path, tmp_path: Path, user: int, folder: str, why: str
) -> None:
    """Whoever opens somebody else's sweep would lose jobs of their own: ids and scripts are no secret."""
    (job,) = submitted(plan_of(sizes=(16,)), tmp_path / "sweep").jobs
    script = f"{folder.format(sweep=tmp_path / 'sweep')}/{job.script}"
    program(notes / "squeue", f"echo '{job.id}|RUNNING|None|1:00|{user}|{script}'")
    program(notes / "scancel", 'touch "$NOTES/cancelled"')
    assert cancel_sweep(tmp_path / "sweep") == Cancelled([], {job.id: why})
    assert not (notes / "cancelled").exists()
    ended = call("cancel", str(tmp_path / "sweep"))
    assert f"left alone: job {job.id} {why}" in ended.err
    assert "none of its jobs" in ended.out


def test_own_jobs_are_cancelled_also_where_the_sweep_was_moved_behind_a_link(
    notes: Path, tmp_path: Path
) -> None:
    (job,) = submitted(plan_of(sizes=(16,)), tmp_path / "sweep").jobs
    (tmp_path / "disk").mkdir()
    (tmp_path / "sweep").rename(tmp_path / "disk" / "sweep")
    (tmp_path / "sweep").symlink_to(tmp_path / "disk" / "sweep")
    script = tmp_path / "sweep" / "slurm" / job.script
    program(notes / "squeue", f"echo '{job.id}|PENDING|None|1:00|{os.getuid()}|{script}'")
    program(notes / "scancel", 'echo "$@" >"$NOTES/cancelled"')
    assert cancel_sweep(tmp_path / "disk" / "sweep") == Cancelled([job.id], {})
    assert (notes / "cancelled").read_text() == f"{job.id}\n"


def test_pickles_of_jobs_are_for_nobody_else(notes: Path, tmp_path: Path) -> None:
    """A job runs what its pickle says: who can write it runs programs as this user."""
    submitted(plan_of(sizes=(16,)), tmp_path / "sweep")
    assert (tmp_path / "sweep" / "slurm").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text(""), "cannot be the folder"),
        (lambda path: path.symlink_to("/tmp"), "must be a directory of its own"),
        (lambda path: (path.mkdir(), path.chmod(0o770)), "others can write there"),
    ],
)
def test_a_folder_that_others_could_fill_is_refused_before_submission(
    notes: Path, tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    (tmp_path / "sweep").mkdir()
    make(tmp_path / "sweep" / "slurm")
    with pytest.raises(UsageError, match=rf"sweep/slurm: {says}"):
        submitted(plan_of(sizes=(16,)), tmp_path / "sweep")
    assert not (notes / "script").exists()


def test_more_tasks_than_an_array_may_have_are_counted(notes: Path, tmp_path: Path) -> None:
    program(notes / "sbatch", "echo 'sbatch: error: Invalid job array specification' >&2; exit 1")
    program(notes / "scontrol", "echo 'MaxArraySize            = 2'")
    plan = plan_of("launcher.cells_per_job=1", sizes=(8, 16, 32))
    refused = "sbatch refuses: .*array specification; these are 3 tasks, and MaxArraySize allows 2: "
    with pytest.raises(UsageError, match=refused + r"launcher\.cells_per_job=2 or more"):
        submitted(plan, tmp_path / "sweep")


def test_an_environment_that_does_not_reach_jobs_is_refused(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    with pytest.raises(UsageError, match="SBATCH_EXPORT=NONE: a job needs this environment"):
        submitted(plan_of(), tmp_path / "sweep")
    assert not (notes / "script").exists()


def test_cancelling_a_sweep_that_never_went_to_slurm_says_so(tmp_path: Path) -> None:
    write_plan(tmp_path)
    with pytest.raises(UsageError, match="has no Slurm jobs"):
        cancel_sweep(tmp_path)


def test_the_newest_job_owns_a_cell(tmp_path: Path) -> None:
    """So that an old job that comes back to life leaves alone what was submitted again."""
    old, new = Job("7_0", "a.sh", ("x", "y")), Job("8_0", "b.sh", ("x",))
    add_jobs(tmp_path, [old])
    add_jobs(tmp_path, [new])
    assert owners(read_jobs(tmp_path)) == {"x": new, "y": old}


def test_estimates_come_from_finished_cells_before_this_machine(tmp_path: Path) -> None:
    plan = plan_of(sizes=(16, 32, 64))
    done = {"gn-b16-s0": {"status": "completed", "wall_seconds": 60.0}}
    found = estimate(plan, plan.cells[1:], done, "auto", load_data(plan.base.data))
    assert found is not None
    assert found.source == "1 finished cells"
    assert 30 < found.seconds["gn-b64-s0"] < found.seconds["gn-b32-s0"] < 60


def test_the_users_minutes_are_those_of_the_longest_cell(tmp_path: Path) -> None:
    plan = plan_of(sizes=(16, 32))
    found = estimate(plan, plan.cells, {}, 5.0, load_data(plan.base.data))
    assert found is not None
    assert max(found.seconds.values()) == pytest.approx(300)


def test_cells_fill_half_of_the_asked_time(notes: Path, tmp_path: Path) -> None:
    plan = plan_of("launcher.time=60", "launcher.minutes_per_cell=14", norms=("gn", "none"), sizes=(16,))
    assert len(submitted(plan, tmp_path / "two in one").jobs) == 1
    plan = plan_of("launcher.time=60", "launcher.minutes_per_cell=16", norms=("gn", "none"), sizes=(16,))
    assert len(submitted(plan, tmp_path / "one each").jobs) == 2


def test_a_cell_that_ended_its_task_is_submitted_alone(notes: Path, tmp_path: Path) -> None:
    """What kills its process each time must not keep the others of its task from being trained."""
    plan = plan_of("launcher.cells_per_job=3", sizes=(16, 32, 64))
    directory = tmp_path / "sweep"
    first = submitted(plan, directory).jobs
    assert [job.cells for job in first] == [("gn-b16-s0", "gn-b32-s0", "gn-b64-s0")]
    cell = directory / "cells" / "gn-b16-s0"
    cell.mkdir(parents=True)
    (cell / "progress.json").write_text(json.dumps({"step": 1, "epoch": 1, "images_per_second": 1.0}))
    again = submitted(plan, directory).jobs
    assert {job.cells for job in again} == {("gn-b16-s0",), ("gn-b32-s0", "gn-b64-s0")}


def test_seeds_in_lockstep_stay_in_one_task(notes: Path, tmp_path: Path) -> None:
    """Apart they could not train as one, and a later call would have to be told again."""
    overrides = ("launcher=slurm", *CELL, "launcher.cells_per_job=1")
    plan = plan_sweep(overrides, Axes(("gn",), (16, 32), (0, 1, 2)), train_images=128)
    config, data = slurm_config(plan.base.launcher), load_data(plan.base.data)
    first = submit_sweep(plan, tmp_path, config, data, lockstep=2).jobs
    together = [{"gn-b16-s0", "gn-b16-s1"}, {"gn-b16-s2"}, {"gn-b32-s0", "gn-b32-s1"}, {"gn-b32-s2"}]
    assert sorted(map(sorted, (job.cells for job in first))) == sorted(map(sorted, together))
    again = submit_sweep(plan, tmp_path, config, data).jobs
    assert sorted(job.cells for job in again) == sorted(job.cells for job in first)
    with pytest.raises(UsageError, match="were trained with 2"):
        submit_sweep(plan, tmp_path, config, data, lockstep=3)


def test_a_sweep_over_a_key_is_submitted_by_its_cells(notes: Path, tmp_path: Path) -> None:
    overrides = ("launcher=slurm", *CELL, "launcher.cells_per_job=2")
    axes = Axes(("gn",), (0.1, 1.0), (0, 1), "optimizer.base_lr")
    plan = plan_sweep(overrides, axes, train_images=128)
    settings = slurm_config(plan.base.launcher)
    done = submit_sweep(plan, tmp_path / "sweep", settings, load_data(plan.base.data), lockstep=2)
    assert sorted(cell for job in done.jobs for cell in job.cells) == [
        *("gn-base_lr0.1-s0", "gn-base_lr0.1-s1", "gn-base_lr1-s0", "gn-base_lr1-s1")
    ]
    decided = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["lockstep"]
    assert decided == {"gn-base_lr0.1": 2, "gn-base_lr1": 2}
