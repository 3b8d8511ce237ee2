"""Every cell's state from its files, squeue and, where there is accounting, sacct. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bnrepro.rundir.result import RESULT
from bnrepro.sweep.directory import CELLS, read_sweep
from bnrepro.sweep.slurm import queue
from bnrepro.sweep.slurm.jobs import Job, owners, read_jobs
from bnrepro.sweep.slurm.queue import NoAnswer, Queued
from bnrepro.sweep.status import CellStatus, cell_status, is_locked, sweep_status

ENDINGS = {"CANCELLED": "cancelled", "TIMEOUT": "timed out", "DEADLINE": "timed out", "FAILED": "failed"}
"""Slurm's words for how a job ended without a result; with any other, or none, the cell is `lost`."""


def slurm_status(directory: Path) -> tuple[list[CellStatus], str]:
    """Every planned cell's state, and a remark where Slurm could not be asked. Raises `UsageError`."""
    jobs = read_jobs(directory)
    try:
        queued = queue.look(jobs)
    except NoAnswer as error:
        return sweep_status(directory), f"from the files alone: {error}"
    job_of = owners(jobs)
    gone = {job for cell, job in job_of.items() if is_open(directory, cell) and job.id not in queued}
    endings = queue.ended_states(sorted(gone, key=lambda job: job.id))
    endings |= {job: state.state for job, state in queued.items() if not state.alive}
    statuses = []
    for cell in read_sweep(directory)["cells"]:
        folder = directory / CELLS / cell["id"]
        job = job_of.get(cell["id"])
        if job is None or not is_open(directory, cell["id"]) or _is_elsewhere(folder, queued.get(job.id)):
            statuses.append(cell_status(folder, cell))
            continue
        state, message = _state(
            directory, cell["id"], job, queued.get(job.id), endings.get(job.id) or endings.get(job.array)
        )
        status = cell_status(folder, cell, running=state == "running")
        statuses.append(replace(status, state=state, message=message))
    return statuses, ""


def is_open(directory: Path, cell: str) -> bool:
    """Has the cell no result yet? Submitting takes a failed one away."""
    return not (directory / CELLS / cell / RESULT).exists()


def _is_elsewhere(folder: Path, queued: Queued | None) -> bool:
    """Has its job ended while a process of this machine is at work on the cell?"""
    return (queued is None or not queued.alive) and is_locked(folder)


def _state(
    directory: Path, cell: str, job: Job, queued: Queued | None, ending: str | None
) -> tuple[str, str]:
    """State and message of a cell without a result."""
    if queued is None or not queued.alive:
        word = ENDINGS.get(ending or "", "lost")
        return word, f"job {job.id} ended ({ending or 'unknown to Slurm'}); its log: {job.log}"
    if not queued.at_work:
        return "pending", f"job {job.id}: {queued.reason}"
    at = next(name for name in job.cells if is_open(directory, name))
    if at != cell:
        return "pending", f"job {job.id}: after {at}"
    return "running", f"job {job.id}, {queued.time_left} to its time limit"
