"""A sweep to the queue: one job array of what is missing and nobody has."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from bnrepro.config.errors import UsageError
from bnrepro.data import Dataset
from bnrepro.rundir.files import remove
from bnrepro.rundir.record import PROGRESS
from bnrepro.rundir.result import RESULT
from bnrepro.sweep.cost import relative_cost
from bnrepro.sweep.directory import CELLS
from bnrepro.sweep.lockstep import decide, in_groups, keep_decision
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.sweep.run import open_sweep
from bnrepro.sweep.slurm import queue
from bnrepro.sweep.slurm.estimate import Estimate, estimate
from bnrepro.sweep.slurm.job import SlurmTask
from bnrepro.sweep.slurm.jobs import FOLDER, Job, add_jobs, owners, read_jobs
from bnrepro.sweep.slurm.pack import FILL, fill, share
from bnrepro.sweep.slurm.parameters import SlurmConfig, check_export, check_text, submitit_parameters
from bnrepro.sweep.worker import Task

MANY_TIMES = 10_000
"""Requeues that submitit is to allow: each one is further on, as a run stops only after a step."""


@dataclass(frozen=True)
class Submission:
    """What became of a plan's cells."""

    jobs: list[Job]
    finished: int
    with_jobs: int
    """Cells that a job of an earlier call has, queued or running."""
    estimate: Estimate | None
    refused: dict[str, str] = field(default_factory=dict)
    """Cell id -> what is wrong with the result that is there: damaged, or of another config."""


def submit_sweep(
    plan: Plan, directory: Path, config: SlurmConfig, dataset: Dataset, lockstep: int | None = None
) -> Submission:
    """Submit every cell that is neither finished nor with a living job.

    `lockstep` cells of a shape train as one; None: as before, or each alone.

    Raises `UsageError` where Slurm does not answer or refuses, another sweep is at work in `directory`, or
    its cells were trained in another lockstep.
    """
    check_directory(directory)
    check_export("SBATCH_EXPORT", os.environ.get("SBATCH_EXPORT"))
    parameters = submitit_parameters(config, plan.base)
    with open_sweep(plan, directory) as cells:
        done, missing = cells.done, cells.todo
        decided = keep_decision(directory, decide(plan, directory, lockstep, done, print, measure=False))
        known = read_jobs(directory)
        alive = {job for job, queued in queue.look(known).items() if queued.alive}
        mine = owners(known)
        todo = [cell for cell in missing if not _is_cared_for(cell, directory, mine, alive)]
        found = None
        jobs: list[Job] = []
        if todo:
            if config.cells_per_job == "auto" and len(todo) > 1:
                found = estimate(plan, todo, done, config.minutes_per_cell, dataset)
            groups = in_groups(todo, decided)
            tasks = _pack(groups, config, found, _suspects(known, alive, directory))
            jobs = _send(plan, directory, tasks, parameters, config.requeue)
        refused = {name: result["message"] for name, result in cells.refused.items()}
        return Submission(jobs, len(done), len(missing) - len(todo), found, refused)


def check_directory(directory: Path) -> None:
    """Raises `UsageError` for a path that Slurm would read otherwise."""
    path = str(directory.absolute())
    check_text("--out", path)
    if "%" in path:
        raise UsageError(f"--out {path}: has a %, which Slurm replaces in file names; choose another")


def _is_cared_for(cell: Cell, directory: Path, mine: dict[str, Job], alive: set[str]) -> bool:
    """Will a living job train it? One that has failed it in this submission will not."""
    job = mine.get(cell.id)
    return job is not None and job.id in alive and not (cell.directory(directory) / RESULT).exists()


def _suspects(known: Sequence[Job], alive: set[str], directory: Path) -> set[str]:
    """The cells that jobs were at when they ended: what killed one must not keep others from being run."""
    begun = {}
    for job in known:
        if job.id not in alive:
            open_cells = (c for c in job.cells if not (directory / CELLS / c / RESULT).exists())
            begun[job.id] = next(open_cells, None)
    return {cell for cell in begun.values() if cell and (directory / CELLS / cell / PROGRESS).exists()}


Group = Sequence[Cell]
"""Cells that train in lockstep; one where there is no lockstep."""


def _pack(
    groups: Sequence[Group], config: SlurmConfig, found: Estimate | None, suspects: set[str]
) -> list[list[Group]]:
    """Groups by task. In lockstep `launcher.cells_per_job` counts groups, which are one piece of work."""
    by_name = {group[0].id: group for group in groups}
    alone = {name for name, group in by_name.items() if suspects & {cell.id for cell in group}}
    if isinstance(config.cells_per_job, int):
        costs = {name: sum(map(relative_cost, group)) for name, group in by_name.items()}
        names = share(costs, config.cells_per_job, alone)
    elif found is not None:
        seconds = {name: sum(found.seconds[cell.id] for cell in group) for name, group in by_name.items()}
        names = fill(seconds, FILL * 60 * config.minutes, alone)
    else:
        names = [[name] for name in by_name]
    return [[by_name[name] for name in task] for task in names]


def _send(
    plan: Plan, directory: Path, tasks: list[list[Group]], parameters: dict[str, object], requeue: bool
) -> list[Job]:
    """Submit the array and note its ids. Raises `UsageError` with sbatch's word."""
    sweep = directory.absolute()
    calls = [
        SlurmTask(
            sweep,
            [[Task(cell.config, cell.directory(sweep), plan.overrides) for cell in group] for group in task],
            requeue,
        )
        for task in tasks
    ]
    folder = private_folder(sweep / FOLDER)
    for cell in (cell for task in tasks for group in task for cell in group):
        remove(cell.directory(sweep) / RESULT)  # failed: from here on it waits again
    complaint = StringIO()
    try:
        with _clean_environment(), redirect_stderr(complaint):
            executor = submitit.SlurmExecutor(folder, max_num_timeout=MANY_TIMES)
            executor.update_parameters(**parameters)
            submitted = executor.submit_array(calls)
    except (FailedJobError, FailedSubmissionError) as error:
        reason = _reason(complaint.getvalue() or str(error))
        raise UsageError(f"sbatch refuses: {reason}{_fewer(tasks)}") from error
    finally:
        _sweep_up(folder)
    script = _script_of(folder, submitted[0].paths.submission_file)
    jobs = [
        Job(job.job_id, script, tuple(cell.id for group in task for cell in group))
        for job, task in zip(submitted, tasks, strict=True)
    ]
    add_jobs(directory, jobs)
    return jobs


def private_folder(folder: Path) -> Path:
    """The folder of the pickles, which Slurm's jobs run as this user: nobody else may write there.

    Raises `UsageError` where somebody else can, or where it is not a directory.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UsageError(f"{folder}: cannot be the folder of the jobs' files ({error.strerror})") from error
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{folder}: must be a directory of its own; move it away")
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"{folder}: others can write there what your jobs would run; move it away, or make it yours and "
            "look at what is in it: chmod 700"
        )
    folder.chmod(0o700)
    return folder


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Without what an allocation that we may be in would hand on, but with the user's own settings."""
    if shutil.which("sbatch") is None:
        raise UsageError("launcher=slurm: there is no sbatch on this machine; submit from a login node")
    settings = {
        key: value for key, value in os.environ.items() if key == "SLURM_CONF" or key.startswith("SBATCH_")
    }
    with submitit.helpers.clean_env():
        os.environ.update(settings)
        yield


def _reason(text: str) -> str:
    """sbatch's last word, which comes after general ones."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"^sbatch: (error: )?", "", lines[-1]) if lines else "without a reason"


def _fewer(tasks: Sequence[Sequence[Group]]) -> str:
    """What to do where the cluster's arrays are shorter than ours."""
    most = queue.most_tasks()
    if most is None or len(tasks) <= most:
        return ""
    return (
        f"; these are {len(tasks):,} tasks, and MaxArraySize allows {most:,}: "
        f"launcher.cells_per_job={-(-sum(map(len, tasks)) // most)} or more puts several cells into each"
    )


def _sweep_up(folder: Path) -> None:
    """Remove what a refused submission leaves; a submitted one has given its files their names."""
    for path in [*folder.glob("[0-9a-f]*.pkl"), *folder.glob(".submission_file_*.sh")]:
        if not path.is_symlink() and not path.name.endswith("_submitted.pkl"):
            path.unlink(missing_ok=True)


def _script_of(folder: Path, submission: Path) -> str:
    """The name under which sbatch was given the script; submitit leaves it as a link."""
    links = folder.glob(".submission_file_*.sh")
    return next(link.name for link in links if link.is_symlink() and link.readlink().name == submission.name)
