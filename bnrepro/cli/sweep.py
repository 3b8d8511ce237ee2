"""`bnrepro sweep batch-size`"""

from __future__ import annotations

import shlex
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides, numbers, texts
from bnrepro.cli.columns import columns
from bnrepro.cli.notices import announce_skipped
from bnrepro.cli.slurm import Gpus, Partition, Time, Wait, check_launcher, slurm_overrides, submit

if TYPE_CHECKING:
    from bnrepro.data import Dataset
    from bnrepro.sweep.plan import Axes, Plan
    from bnrepro.sweep.run import Outcome

app = typer.Typer(help="Train every cell of a grid.", no_args_is_help=True)


@app.callback()
def sweeps() -> None:
    """Train every cell of a grid."""


@app.command("batch-size")
def batch_size(
    overrides: Overrides = None,
    norms: Annotated[str | None, typer.Option(metavar="bn,gn,…", help="Default: the experiment's.")] = None,
    batch_sizes: Annotated[
        str | None, typer.Option(metavar="1,2,4,…", help="Images per worker. Default: the experiment's.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1,…", help="Default: the experiment's.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The sweep directory; default results/runs/<experiment>-<protocol>."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells and estimate the time from a few timed steps.")
    ] = False,
    launcher: Annotated[
        str | None, typer.Option(metavar="local|slurm", help="Default: the config's.")
    ] = None,
    jobs: Annotated[
        str | None, typer.Option(metavar="auto|N", help="Runs side by side; auto: cores / threads, or GPUs.")
    ] = None,
    lockstep: Annotated[
        str | None,
        typer.Option(
            metavar="auto|off|N",
            help="Cells trained as one: seeds, in fixed_sgd also bn's batch sizes; auto: measured on this "
            "machine's GPU, else off.",
        ),
    ] = None,
    partition: Partition = None,
    time: Time = None,
    gpus: Gpus = None,
    wait: Wait = False,
    config_dir: ConfigDir = None,
) -> None:
    """Train every (norm × batch size × seed) cell; the same command continues an interrupted sweep."""
    axes = _axes(norms, batch_sizes, seeds)
    overrides = [*(overrides or []), *([f"launcher={launcher}"] if launcher else [])]
    overrides += slurm_overrides(overrides, partition, time, gpus)

    from bnrepro.data import load_data
    from bnrepro.sweep.directory import default_directory
    from bnrepro.sweep.local import parse_jobs
    from bnrepro.sweep.lockstep import parse_lockstep
    from bnrepro.sweep.plan import compose_base, plan_sweep

    base = compose_base(overrides, config_dir)
    dataset = load_data(base.data)
    plan = plan_sweep(overrides, axes, len(dataset.train.labels), config_dir)
    directory = out or default_directory(plan.base)
    on_slurm = check_launcher(plan.base.launcher["name"], jobs, lockstep, wait)
    together = parse_lockstep(lockstep or "auto")
    number = parse_jobs(jobs if jobs is not None else plan.base.launcher.get("jobs", "auto"))
    _announce(plan, dataset.name, directory)
    announce_skipped(dataset)
    if dry_run:
        _forecast(plan, dataset, directory, number, together, measure=not on_slurm)
    elif on_slurm:
        submit(plan, directory, dataset, together, wait)
    else:
        _run_here(plan, directory, number, together)


def _axes(norms: str | None, batch_sizes: str | None, seeds: str | None) -> Axes:
    from bnrepro.sweep.plan import Axes

    return Axes(
        norms=texts(norms),
        batch_sizes=numbers("--batch-sizes", batch_sizes),
        seeds=numbers("--seeds", seeds),
    )


def _announce(plan: Plan, data: str, directory: Path) -> None:
    sizes, seeds = (", ".join(map(str, values)) for values in (plan.batch_sizes, plan.seeds))
    typer.echo(
        f"{len(plan.cells)} cells: {', '.join(plan.norms)} × batch sizes {sizes} × seeds {seeds}; "
        f"{plan.base.model.name}, {data} ({plan.train_images:,} images), "
        f"{plan.base.epochs} epoch{'s' if plan.base.epochs > 1 else ''}, "
        f"protocol {plan.base.protocol.name}"
    )
    typer.echo(f"sweep directory: {directory}")
    if dropped := plan.dropped_images():
        losses = ", ".join(f"{lost} at an SGD batch of {size}" for size, lost in dropped.items())
        typer.echo(f"each epoch drops its incomplete last batch: {losses} (of {plan.train_images:,} images)")


def _forecast(
    plan: Plan, dataset: Dataset, directory: Path, jobs: int | None, lockstep: int | None, measure: bool
) -> None:
    """Every cell with its steps and expected time, and the sweep's."""
    from bnrepro.sweep.forecast import forecast, wall_seconds
    from bnrepro.sweep.local import default_jobs
    from bnrepro.sweep.lockstep import decide, in_groups
    from bnrepro.sweep.run import finished_cells
    from bnrepro.training.process.device import resolve_device
    from bnrepro.training.progress import clock

    decided = decide(plan, directory, lockstep, finished_cells(plan, directory), typer.echo, measure)
    found = forecast(plan, dataset, decided, lambda line: typer.echo(line, err=True))
    rows = []
    for cell in plan.cells:
        norm_batch = str(cell.sizes.norm_batch_size) if cell.batch_statistics else "–"
        counts = (str(cell.sizes.sgd_batch_size), norm_batch, f"{cell.steps:,}", f"{cell.images:,}")
        if cost := found.get(cell.id):
            needs = (f"{cost.flops_per_image / 1e9:.3g}", f"{cost.memory_bytes / 2**30:.2f} GiB")
            times = (clock(cost.train_seconds), clock(cost.evaluation_seconds))
        else:
            needs, times = ("–", "–"), ("fails", "–")
        rows.append((cell.id, *counts, *needs, *times))
    right = (
        *("SGD batch", "norm batch", "steps", "images"),
        *("GFLOP/image", "GPU memory", "training", "evaluation"),
    )
    typer.echo("\n".join(columns(("cell", *right), rows, right)))
    number = jobs or default_jobs(plan.base)
    groups = in_groups(plan.cells, decided)
    each = (sum(found[cell.id].seconds for cell in cells if cell.id in found) for cells in groups)
    seconds = wall_seconds(each, number)
    typer.echo(f"about {clock(seconds)} with {number} jobs on this machine, from timing each shape alone")
    total = sum(cost.seconds for cost in found.values()) / 3600
    unit = (
        "GPU-hours"
        if resolve_device(plan.base.device).type == "cuda"
        else f"hours of {plan.base.threads} core(s)"
    )
    typer.echo(f"{total:,.1f} {unit} in all; GPU memory is estimated, without the kernels' work space")


def _run_here(plan: Plan, directory: Path, jobs: int | None, lockstep: int | None) -> None:
    from bnrepro.sweep.run import run_sweep
    from bnrepro.training.process.interrupt import interrupted_by

    with interrupted_by(signal.SIGTERM):
        outcome = run_sweep(plan, directory, jobs, lockstep, typer.echo)
    _conclude(outcome, directory)


def _conclude(outcome: Outcome, directory: Path) -> None:
    counts = Counter(result["status"] for result in outcome.results.values())
    typer.echo(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    failed = outcome.with_status("failed")
    for cell in failed:
        typer.echo(f"failed: {cell}: {outcome.results[cell]['message']}", err=True)
    if outcome.timing is not None:
        typer.echo(outcome.timing.describe())
    typer.echo(f"bnrepro plot {shlex.quote(str(directory))}")
    if failed:
        raise typer.Exit(1)
