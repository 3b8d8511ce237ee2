"""A long-lived worker process: takes cells from a pipe, says how they go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bnrepro.config.errors import StorageError, UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.rundir.lock import Busy, exclusive
from bnrepro.training.lockstep.group import Member, run_group
from bnrepro.training.outcome import failed_result
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.progress import Progress

REPORT_SECONDS = 0.2


@dataclass(frozen=True)
class Task:
    """One cell to run."""

    config: RunConfig
    directory: Path
    overrides: Sequence[str]


@dataclass(frozen=True)
class Reported:
    """How the `cell`-th of the tasks at hand goes."""

    cell: int
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """One per task, in their order."""

    results: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Elsewhere:
    """Another process is at work on one of the tasks: none of them was begun."""

    message: str


@dataclass(frozen=True)
class Stopped:
    """The runs were asked to stop and have written their checkpoints."""


def work(pipe: Connection, gpu: int | None) -> None:
    """Run tasks until the pipe ends, each time those that come together in lockstep.

    SIGTERM stops the runs under way at their next checkpoint.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_device(gpu)
    stop = StopFlag()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the sweep decides
    signal.signal(signal.SIGTERM, stop.set)
    try:
        while (tasks := pipe.recv()) is not None:
            pipe.send(_run(tasks, pipe, stop))
            if stop.wanted:
                return
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the sweep is gone; what the checkpoint has is kept


def visible_device(gpu: int) -> str:
    """The device name of this sweep's `gpu`-th GPU, where the user already chose among them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return chosen.split(",")[gpu] if chosen else str(gpu)


def _run(tasks: Sequence[Task], pipe: Connection, stop: StopFlag) -> Finished | Elsewhere | Stopped:
    try:
        with ExitStack() as locks:
            for task in tasks:
                locks.enter_context(exclusive(task.directory, "a run", task.config.lock))
            members = [
                Member(task.config, task.directory, _Reporter(pipe, stop, cell))
                for cell, task in enumerate(tasks)
            ]
            return Finished(run_group(members, overrides=tasks[0].overrides, stop=stop))
    except Interrupted:
        return Stopped()
    except Busy as error:
        return Elsewhere(str(error))
    except (UsageError, StorageError) as error:  # not written: the same command tries again
        return Finished([failed_result(task.config, str(error)) for task in tasks])


class _Reporter:
    """Passes progress on, but not faster than anyone looks; where nobody listens any more, the run stops."""

    def __init__(self, pipe: Connection, stop: StopFlag, cell: int) -> None:
        self._pipe = pipe
        self._stop = stop
        self._cell = cell
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= REPORT_SECONDS or progress.step == progress.total_steps:
            self._last = now
            try:
                self._pipe.send(Reported(self._cell, progress))
            except OSError:
                self._stop.set()
