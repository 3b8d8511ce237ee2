"""What the tests of the Slurm launcher share: a sweep on the cluster, and waiting for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import waiting_norm
from tiny_runs import TINY, Ended, call, record, tiny_config

from bnrepro.sweep.slurm.jobs import Job, read_jobs
from bnrepro.sweep.slurm.queue import look
from bnrepro.sweep.slurm.states import slurm_status
from bnrepro.sweep.status import CellStatus
from bnrepro.training.run import run

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


@dataclass(frozen=True)
class WaitingRuns:
    """Cells `waits-b16-s0` and `waits-b32-s0`, whose jobs wait in their middle for a signal."""

    folder: Path
    """For the norm's YAML, and for what the jobs say."""

    EPOCHS: ClassVar[str] = "epochs=4"

    def __post_init__(self) -> None:
        (self.folder / "norm").mkdir(parents=True)
        (self.folder / "norm" / "waits.yaml").write_text("name: waits\nfactory: waiting_norm:make\n")

    @property
    def arguments(self) -> tuple[str, ...]:
        """For a sweep of them."""
        exports = {"PYTHONPATH": Path(waiting_norm.__file__).parent, waiting_norm.FOLDER: self.folder}
        setup = ", ".join(f"'export {name}=\"{path}\"'" for name, path in exports.items())
        config_dir = ("--config-dir", str(self.folder))
        return (self.EPOCHS, f"launcher.setup=[{setup}]", "--norms", "waits", *config_dir)

    def process(self, batch_size: int) -> int | None:
        """The process of the cell, if it waits."""
        mark = self.folder / str(batch_size)
        return int(mark.read_text()) if mark.exists() else None

    def undisturbed(self, directory: Path, batch_size: int) -> dict[str, Any]:
        """The record of a run that does not wait."""
        config = tiny_config(self.EPOCHS, "norm=waits", f"batch_size={batch_size}", config_dir=self.folder)
        run(config, directory)
        return record(directory)
