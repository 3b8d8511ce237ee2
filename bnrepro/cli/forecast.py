"""`bnrepro sweep --dry-run`: every cell with its steps and expected time, and the sweep's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import typer

from bnrepro.cli.columns import columns
from bnrepro.data import Dataset
from bnrepro.rundir.describe import counted
from bnrepro.sweep.forecast import Forecast, forecast, wall_seconds
from bnrepro.sweep.local import default_jobs
from bnrepro.sweep.lockstep import decide, in_groups
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.sweep.run import find_cells
from bnrepro.training.process.device import resolve_device
from bnrepro.training.progress import clock

COUNTS = ("SGD batch", "norm batch", "steps", "images", "GFLOP/image")
TIMES = ("training", "evaluation")
LESS_IMPORTANT = ("GFLOP/image", "images", "norm batch", "SGD batch", "GPU memory", "steps", "evaluation")
"""What a narrow terminal leaves out, in this order."""


def show_forecast(
    plan: Plan,
    dataset: Dataset,
    directory: Path,
    jobs: int | None,
    lockstep: int | None,
    announce: Callable[[], None],
    measure: bool,
) -> None:
    """Time each kind of cell, and print what they need."""
    done = find_cells(plan, directory).done
    decided = decide(plan, directory, lockstep, done, lambda line: typer.echo(line, err=True), measure)
    announce()
    found = forecast(plan, dataset, decided, lambda line: typer.echo(line, err=True))
    on_gpu = resolve_device(plan.base.device).type == "cuda"
    right = (*COUNTS, *(["GPU memory"] if on_gpu else []), *TIMES)
    rows = [_row(cell, found.get(cell.id), on_gpu) for cell in plan.cells]
    typer.echo("\n".join(columns(("cell", *right), rows, right, less=LESS_IMPORTANT)))
    number = jobs or default_jobs(plan.base)
    groups = in_groups(plan.cells, decided)
    each = (sum(found[cell.id].seconds for cell in cells if cell.id in found) for cells in groups)
    typer.echo(
        f"about {clock(wall_seconds(each, number))} with {counted(number, 'job')} on this machine, "
        f"from timing each shape alone{', without what the probes take' if plan.base.probes else ''}"
    )
    typer.echo(_in_all(plan, found, on_gpu))


def _row(cell: Cell, cost: Forecast | None, on_gpu: bool) -> tuple[str, ...]:
    norm_batch = str(cell.sizes.norm_batch_size) if cell.batch_statistics else "–"
    counts = (str(cell.sizes.sgd_batch_size), norm_batch, f"{cell.steps:,}", f"{cell.images:,}")
    if cost is None:
        return (cell.id, *counts, "–", *(["–"] if on_gpu else []), "fails", "–")
    memory = [f"{cost.memory_bytes / 2**30:.2f} GiB"] if on_gpu else []
    times = (clock(cost.train_seconds), clock(cost.evaluation_seconds))
    return (cell.id, *counts, f"{cost.flops_per_image / 1e9:.3g}", *memory, *times)


def _in_all(plan: Plan, found: Mapping[str, Forecast], on_gpu: bool) -> str:
    seconds = sum(cost.seconds for cost in found.values())
    if on_gpu:
        remark = "GPU memory is estimated, without the kernels' work space"
        return f"{seconds / 3600:,.1f} GPU-hours in all; {remark}"
    return f"{clock(seconds)} in all, each run on {counted(plan.base.threads, 'core')}"
