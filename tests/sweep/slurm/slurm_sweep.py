"""What the tests of the Slurm launcher share: a sweep on the cluster, and waiting for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_runs import TINY, Ended, call

from bnrepro.sweep.slurm.jobs import Job, read_jobs
from bnrepro.sweep.slurm.queue import look
from bnrepro.sweep.slurm.states import slurm_status
from bnrepro.sweep.status import CellStatus

CELL = tuple(override for override in TINY if not override.startswith("batch_size="))
"""The overrides of tiny cells: the batch size is an axis."""


def slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait for the cluster; a test's own time limit is no help in finding out for what."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} does not come true within {seconds} s"
        time.sleep(0.5)


@dataclass
class SlurmSweep:
    """A sweep directory, and the command that submits it."""

    directory: Path
    arguments: tuple[str, ...]

    def submit(self, *arguments: str, launcher: str = "slurm") -> Ended:
        own = [word for word in self.arguments if launcher == "slurm" or not word.startswith("launcher.")]
        where = ("--launcher", launcher, "--out", str(self.directory))
        return call("sweep", "batch-size", *CELL, *own, *where, *arguments)

    def cell(self, name: str) -> Path:
        return self.directory / "cells" / name

    def jobs(self) -> list[Job]:
        return read_jobs(self.directory)

    def alive(self) -> list[str]:
        return [job for job, queued in look(self.jobs()).items() if queued.alive]

    def states(self) -> dict[str, CellStatus]:
        return {status.id: status for status in slurm_status(self.directory)[0]}

    def state(self, cell: str) -> str:
        return self.states()[cell].state

    def trains(self, *cells: str) -> bool:
        """Has each been at work for so long that there is a checkpoint, and an end to it still to come?"""
        states = self.states()
        assert not {states[cell].state for cell in cells} & {"completed", "failed"}, states
        return all((self.cell(cell) / "checkpoint.pt").exists() for cell in cells)
