"""`bnrepro cancel`: the sweep's own jobs and no others."""

from __future__ import annotations

from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.sweep.directory import read_sweep
from bnrepro.sweep.slurm import queue
from bnrepro.sweep.slurm.jobs import FILE, read_jobs


def cancel_sweep(directory: Path) -> list[str]:
    """Cancel what is queued or running, and return its job ids.

    Raises `UsageError` where the sweep never went to Slurm, or Slurm does not answer.
    """
    read_sweep(directory)
    jobs = read_jobs(directory)
    if not jobs:
        raise UsageError(f"{directory}: has no Slurm jobs (no {FILE}); a local sweep is stopped with Ctrl-C")
    alive = [job for job, queued in queue.look(jobs).items() if queued.alive]
    if alive:
        queue.cancel(alive)
    return alive
