"""One sweep: plan, exclude others, run what is missing, say how it went."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.rundir.lock import exclusive
from bnrepro.rundir.record import CHECKPOINT, read_result
from bnrepro.sweep.directory import write_sweep
from bnrepro.sweep.local import Pool, default_jobs
from bnrepro.sweep.lockstep import OFF, decide, in_groups, settle
from bnrepro.sweep.plan import Cell, Plan, sweep_json
from bnrepro.sweep.slurm.jobs import read_jobs
from bnrepro.sweep.slurm.queue import NoAnswer, look
from bnrepro.sweep.timing import Timing
from bnrepro.sweep.view import View
from bnrepro.training.process.device import resolve_device
from bnrepro.training.run import OVER


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended: cell id -> `result.json`."""

    results: dict[str, dict[str, Any]]
    timing: Timing | None = None
    """None where a cell was continued from an earlier call, or where nothing was left to run."""

    def with_status(self, status: str) -> list[str]:
        return [cell for cell, result in self.results.items() if result["status"] == status]


def finished_cells(plan: Plan, directory: Path) -> dict[str, dict[str, Any]]:
    """The results that are there already: completed and diverged ones; failed ones are tried again."""
    found = {cell.id: read_result(cell.directory(directory)) for cell in plan.cells}
    return {cell: result for cell, result in found.items() if result and result["status"] in OVER}


@contextmanager
def open_sweep(plan: Plan, directory: Path) -> Iterator[tuple[dict[str, dict[str, Any]], list[Cell]]]:
    """What every launcher starts from: the finished cells' results, and the cells that are missing.

    Raises `UsageError` where another sweep is at work in `directory`, or was of another config.
    """
    with exclusive(directory, "a sweep"):
        write_sweep(directory, sweep_json(plan))
        done = finished_cells(plan, directory)
        yield done, [cell for cell in plan.cells if cell.id not in done]


def run_sweep(
    plan: Plan,
    directory: Path,
    jobs: int | None,
    lockstep: int | None = OFF,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Run the cells that are missing on this machine; `say` is told what is decided before.

    `lockstep`: cells of a shape that train together, None: what is fastest. Raises `UsageError` as
    `open_sweep` and `decide` do, and where jobs of this sweep are in Slurm's queue.
    """
    with open_sweep(plan, directory) as (done, todo):
        _refuse_queued(directory)
        decided = settle(directory, decide(plan, directory, lockstep, done, say))
        groups = in_groups(todo, decided)
        number = jobs or default_jobs(plan.base)
        fresh = not any((cell.directory(directory) / CHECKPOINT).exists() for cell in todo)
        start = time.monotonic()
        with View(todo, len(done), number) as view:
            pool = Pool(directory, number, gpus_to_deal(plan.base), plan.overrides, view)
            results = pool.run(groups)
        seconds = time.monotonic() - start
        timing = Timing.of(results.values(), min(number, len(groups)), seconds) if todo and fresh else None
        return Outcome({**done, **results}, timing)


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
