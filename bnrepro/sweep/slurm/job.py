"""What runs on the cluster: the cells of one task, one group in lockstep after the other.

The run's checkpoints on disk are the truth: a requeue after a node failure calls nothing here.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import submitit

from bnrepro.config.errors import Damaged, StorageError, UsageError
from bnrepro.rundir.describe import describe
from bnrepro.rundir.lock import exclusive
from bnrepro.rundir.result import is_over, read_result, result_head
from bnrepro.sweep.slurm.jobs import owners, read_jobs
from bnrepro.sweep.worker import Task
from bnrepro.training.lockstep.group import Member, run_group
from bnrepro.training.outcome import failed_result, record_lost
from bnrepro.training.process.distributed import World, processes_of_run
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.run import run

JOBS_SECONDS = 120.0
"""How long slurm.json may take to reach this node: shared file systems cache."""
LOCK_SECONDS = 120.0
"""How long a dead process elsewhere may hold a cell's lock, until the file server lets go of it."""
END_SECONDS = 600.0
"""How long Slurm may take to end a job that it has sent SIGTERM."""


class SlurmTask:
    """A task of the array; submitit pickles it, and calls it in every process of the task."""

    def __init__(self, sweep: Path, groups: Sequence[Sequence[Task]], requeue: bool) -> None:
        self._sweep = sweep
        self._groups = groups
        self._requeue = requeue

    def __call__(self) -> None:
        """Run what is not finished. A signal before the time limit, or at preemption, saves and requeues."""
        with Signals() as signals:
            with processes_of_run() as world:
                own = self._own()
                for group in own:
                    if not signals.stop.wanted:
                        _run(group, world, signals.stop)
            over = all(_is_over(cell) for group in own for cell in group)
            if world.is_main and signals.stop.wanted and not over:
                signals.wait_for_the_end(self._requeue)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """submitit asks for what to call after the requeue: the same, which continues from disk."""
        return submitit.helpers.DelayedSubmission(self)

    def _own(self) -> list[list[Task]]:
        """The cells that slurm.json says are this job's: one that was given up for lost may come back."""
        me = submitit.JobEnvironment().job_id
        end = time.monotonic() + JOBS_SECONDS
        jobs = read_jobs(self._sweep)
        while me not in {job.id for job in jobs}:
            if time.monotonic() > end:
                raise UsageError(f"job {me}: is not in {self._sweep}'s slurm.json; leaves its cells alone")
            time.sleep(1)
            jobs = read_jobs(self._sweep)
        job_of = owners(jobs)
        own = [[cell for cell in group if job_of[cell.directory.name].id == me] for group in self._groups]
        names = [" + ".join(cell.directory.name for cell in group) for group in own if group]
        print(f"job {me}: {', '.join(names) or 'nothing left to do'}")
        return [group for group in own if group]


def _is_over(cell: Task) -> bool:
    try:
        return is_over(read_result(cell.directory, result_head(cell.config)))
    except Damaged:  # for the user to look at
        return True


def _run(group: Sequence[Task], world: World, stop: StopFlag) -> None:
    """The cells of a group; whatever goes wrong with them is their result, and the others go on."""
    with ExitStack() as stack:
        busy = world.is_main and not all(_lock(stack, cell) for cell in group)
        if world.any(busy)[0]:
            return
        try:
            results = _train(group, world, stop)
        except Interrupted:
            return
        except StorageError:  # nothing can be written: the job ends, and a later one continues
            raise
        except Exception as error:
            traceback.print_exc()
            results = [_failed(cell, error, world) for cell in group]
        if world.is_main:
            print("\n".join(map(describe, results)), flush=True)


def _failed(cell: Task, error: Exception, world: World) -> dict[str, Any]:
    message = f"{type(error).__name__}: {error}"
    if world.is_main:
        return record_lost(cell.config, cell.directory, message)
    return failed_result(cell.config, message)


def _train(group: Sequence[Task], world: World, stop: StopFlag) -> list[dict[str, Any]]:
    overrides = group[0].overrides
    if len(group) > 1:
        return run_group(
            [Member(cell.config, cell.directory) for cell in group], overrides=overrides, stop=stop
        )
    (cell,) = group
    return [run(cell.config, cell.directory, overrides=overrides, stop=stop, world=world)]


def _lock(stack: ExitStack, cell: Task) -> bool:
    """Take the cell's lock for as long as `stack` lives; False: somebody else has it."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            stack.enter_context(exclusive(cell.directory, "a run", cell.config.lock))
            return True
        except UsageError as error:
            if time.monotonic() > end:
                print(error, file=sys.stderr, flush=True)
                return False
            time.sleep(5)


class Signals:
    """Takes Slurm's signals from submitit, whose handler would requeue in the middle of a step.

    USR2 comes before the time limit, SIGTERM at preemption and at `scancel`: a job that Slurm preempts it
    puts back by itself, and one that is cancelled must stay away. Children of this process inherit a handler
    that only sets a flag.
    """

    def __init__(self) -> None:
        self.stop = StopFlag()
        self._number = signal.Signals[f"SIG{submitit.JobEnvironment.USR_SIG}"]
        self._limit_near = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]
        handlers = {self._number: self._last_minutes, signal.SIGTERM: self.stop.set}
        self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _last_minutes(self, number: int, frame: FrameType | None) -> None:
        self._limit_near = True
        self.stop.set()

    def wait_for_the_end(self, requeue: bool) -> None:
        """Everything is saved: let submitit requeue the job, or let Slurm end it."""
        print("stopped by a signal; all is saved", flush=True)
        end = time.monotonic() + END_SECONDS
        while not (requeue and self._limit_near):
            if time.monotonic() > end:
                sys.exit(1)  # the signal was not Slurm's
            time.sleep(0.2)
        self._before[self._number](self._number, None)
