"""One sweep: plan, exclude others, run what is missing, say how it went."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged, UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.rundir.files import clear_unfinished
from bnrepro.rundir.lock import exclusive
from bnrepro.rundir.record import CHECKPOINT
from bnrepro.rundir.result import RESULT, is_over, read_result
from bnrepro.rundir.tensorboard import write_experiment
from bnrepro.sweep.directory import read_sweep, write_sweep
from bnrepro.sweep.local import Pool, default_jobs
from bnrepro.sweep.lockstep import OFF, decide, in_groups, keep_decision
from bnrepro.sweep.plan import Cell, Plan, sweep_json
from bnrepro.sweep.slurm.jobs import read_jobs
from bnrepro.sweep.slurm.queue import NoAnswer, look
from bnrepro.sweep.timing import Timing
from bnrepro.sweep.view import View
from bnrepro.training.outcome import failed_result
from bnrepro.training.process.device import resolve_device


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended: cell id -> `result.json`."""

    results: dict[str, dict[str, Any]]
    timing: Timing | None = None
    """None where a cell was continued from an earlier call, or where nothing was left to run."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Cell id -> where another process is at work on it: it has no result yet."""

    def with_status(self, status: str) -> list[str]:
        return [cell for cell, result in self.results.items() if result["status"] == status]


@dataclass(frozen=True)
class Found:
    """What a sweep directory has of a plan's cells, before anything runs."""

    done: dict[str, dict[str, Any]]
    """Cell id -> result, of completed and diverged ones; failed ones are tried again."""
    refused: dict[str, dict[str, Any]]
    """Cell id -> a failed result that is not written: what is there is damaged, or of another config."""
    todo: list[Cell]


def find_cells(plan: Plan, directory: Path) -> Found:
    """Look at every cell's `result.json`."""
    found = Found({}, {}, [])
    for cell in plan.cells:
        try:
            result = read_result(cell.directory(directory), cell.identity)
        except Damaged as error:
            found.refused[cell.id] = failed_result(cell.config, str(error))
            continue
        if result is not None and is_over(result):
            found.done[cell.id] = result
        else:
            found.todo.append(cell)
    return found


def has_ended(plan: Plan, directory: Path) -> bool:
    """Has every cell a result, be it that it failed?"""
    return all((cell.directory(directory) / RESULT).exists() for cell in find_cells(plan, directory).todo)


@contextmanager
def open_sweep(plan: Plan, directory: Path) -> Iterator[Found]:
    """What every launcher starts from.

    Raises `UsageError` where another sweep is at work in `directory`, or was of another config.
    """
    with exclusive(directory, "a sweep", plan.base.lock):
        clear_unfinished(directory)
        write_sweep(directory, sweep_json(plan))
        if plan.base.tensorboard:
            write_experiment(directory, read_sweep(directory))
        yield find_cells(plan, directory)


def run_sweep(
    plan: Plan,
    directory: Path,
    jobs: int | None,
    lockstep: int | None = OFF,
    say: Callable[[str], None] = lambda line: None,
    begin: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run the cells that are missing on this machine; `say` is told what is decided before.

    `begin` is called once nothing is refused any more.
    `lockstep`: cells of a shape that train together, None: what is fastest. Raises `UsageError` as
    `open_sweep` and `decide` do, and where jobs of this sweep are in Slurm's queue.
    """
    with open_sweep(plan, directory) as found:
        _refuse_queued(directory)
        done, todo = found.done, found.todo
        decided = keep_decision(directory, decide(plan, directory, lockstep, done, say))
        begin()
        groups = in_groups(todo, decided)
        number = jobs or default_jobs(plan.base)
        fresh = not any((cell.directory(directory) / CHECKPOINT).exists() for cell in todo)
        start = time.monotonic()
        with View(groups, len(done), number) as view:
            pool = Pool(directory, number, gpus_to_deal(plan.base), plan.overrides, view)
            results = pool.run(groups)
        seconds = time.monotonic() - start
        timing = Timing.of(results.values(), min(number, len(groups)), seconds) if todo and fresh else None
        return Outcome({**done, **found.refused, **results}, timing, pool.elsewhere)


def _refuse_queued(directory: Path) -> None:
    """The locks of cells may not reach from node to node."""
    try:
        queued = look(read_jobs(directory)).values()
    except NoAnswer:
        return  # no Slurm here: the locks have to do
    if any(job.alive for job in queued):
        raise UsageError(
            f"{directory}: has jobs in Slurm's queue; wait for them, or stop them first: "
            f"bnrepro cancel {shlex.quote(str(directory))}"
        )


def gpus_to_deal(base: RunConfig) -> int:
    """GPUs to deal out to the workers; 0 where the device is named or is none."""
    if base.device not in ("auto", "cuda") or resolve_device(base.device).type != "cuda":
        return 0
    import torch

    return torch.cuda.device_count()
