"""`bnrepro cancel`: the sweep's own jobs and no others.

`slurm.json` may be somebody else's word: what it names is cancelled only where Slurm says that this user
submitted it, with a script that lies in this sweep.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bnrepro.config.errors import UsageError, one_line
from bnrepro.sweep.directory import read_sweep
from bnrepro.sweep.slurm import queue
from bnrepro.sweep.slurm.jobs import FILE, FOLDER, read_jobs
from bnrepro.sweep.slurm.queue import Queued


@dataclass(frozen=True)
class Cancelled:
    """What became of the jobs that are queued or running."""

    jobs: list[str]
    left_alone: dict[str, str]
    """Job id -> why it is not this sweep's."""


def cancel_sweep(directory: Path) -> Cancelled:
    """Cancel what is queued or running of this sweep.

    Raises `UsageError` where the sweep never went to Slurm, or Slurm does not answer.
    """
    read_sweep(directory)
    jobs = read_jobs(directory)
    if not jobs:
        raise UsageError(f"{directory}: has no Slurm jobs (no {FILE}); a local sweep is stopped with Ctrl-C")
    alive = {job: queued for job, queued in queue.look(jobs).items() if queued.alive}
    strange = {job: why for job, queued in alive.items() if (why := _not_ours(queued, directory))}
    own = [job for job in alive if job not in strange]
    if own:
        queue.cancel(own)
    return Cancelled(own, strange)


def _not_ours(queued: Queued, directory: Path) -> str:
    """Why the job is not one of this user's from this sweep; empty where it is."""
    if queued.user != str(os.getuid()):
        return f"is a job of the user {one_line(queued.user)}"
    if queued.script.parent.resolve() != (directory / FOLDER).resolve():
        return one_line(f"was submitted from {queued.script.parent}")
    return ""
