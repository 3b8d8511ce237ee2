"""`bnrepro sweep batch-size` and `bnrepro sweep over`"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides, any_numbers, numbers, output_directory, texts
from bnrepro.cli.completion import choices_of
from bnrepro.cli.notices import announce_skipped, doing
from bnrepro.cli.slurm import Gpus, Partition, Time, Wait, check_launcher, slurm_overrides, submit
from bnrepro.rundir.describe import counted

if TYPE_CHECKING:
    from bnrepro.data import Dataset
    from bnrepro.sweep.plan import Plan

app = typer.Typer(help="Train every cell of a grid.", no_args_is_help=True)


@app.callback()
def sweeps() -> None:
    """Train every cell of a grid."""


Norms = Annotated[
    str | None,
    typer.Option(metavar="bn,gn,…", autocompletion=choices_of("norm"), help="Default: the experiment's."),
]
Seeds = Annotated[str | None, typer.Option(metavar="0,1,…", help="Default: the experiment's.")]
Out = Annotated[
    Path | None,
    typer.Option(
        parser=output_directory,
        metavar="DIR",
        help="The sweep directory; default results/runs/<experiment>-<protocol>, then -<key>.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the cells and estimate the time from a few timed steps.")
]
Launcher = Annotated[
    str | None,
    typer.Option(metavar="local|slurm", autocompletion=choices_of("launcher"), help="Default: the config's."),
]
Jobs = Annotated[
    str | None, typer.Option(metavar="auto|N", help="Runs side by side; auto: cores / threads, or GPUs.")
]
Lockstep = Annotated[
    str | None,
    typer.Option(
        metavar="auto|off|N",
        help="Cells trained as one: seeds, in fixed_sgd also bn's batch sizes; auto: measured on this "
        "machine's GPU, else off.",
    ),
]


@dataclass(frozen=True)
class Asked:
    """What every sweep can be asked for, beside its axes."""

    overrides: list[str] | None
    out: Path | None
    dry_run: bool
    launcher: str | None
    jobs: str | None
    lockstep: str | None
    partition: str | None
    time: str | None
    gpus: int | None
    wait: bool
    config_dir: Path | None


@app.command("batch-size")
def batch_size(
    overrides: Overrides = None,
    norms: Norms = None,
    batch_sizes: Annotated[
        str | None, typer.Option(metavar="1,2,4,…", help="Images per worker. Default: the experiment's.")
    ] = None,
    seeds: Seeds = None,
    out: Out = None,
    dry_run: DryRun = False,
    launcher: Launcher = None,
    jobs: Jobs = None,
    lockstep: Lockstep = None,
    partition: Partition = None,
    time: Time = None,
    gpus: Gpus = None,
    wait: Wait = False,
    config_dir: ConfigDir = None,
) -> None:
    """Train every (norm × batch size × seed) cell; the same command continues an interrupted sweep.

    Example: bnrepro sweep batch-size experiment=digits --norms bn,gn --seeds 0,1,2
    """
    asked = Asked(overrides, out, dry_run, launcher, jobs, lockstep, partition, time, gpus, wait, config_dir)
    _sweep(asked, norms, numbers("--batch-sizes", batch_sizes), seeds)


@app.command()
def over(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="A numeric key: optimizer.base_lr, model.depth, norm.groups …",
            show_default=False,
        ),
    ],
    values: Annotated[str, typer.Option(metavar="A,B,…", help="The values of KEY.", show_default=False)],
    overrides: Overrides = None,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="log2|log10|linear",
            help="Of the figure's x axis. Default: logarithmic where positive values span a factor of 8.",
        ),
    ] = None,
    norms: Norms = None,
    seeds: Seeds = None,
    out: Out = None,
    dry_run: DryRun = False,
    launcher: Launcher = None,
    jobs: Jobs = None,
    lockstep: Lockstep = None,
    partition: Partition = None,
    time: Time = None,
    gpus: Gpus = None,
    wait: Wait = False,
    config_dir: ConfigDir = None,
) -> None:
    """Train every (norm × value of KEY × seed) cell, as `batch-size` does for batch sizes.

    Example: bnrepro sweep over optimizer.base_lr --values 0.1,0.2,0.4,0.8 experiment=digits --norms bn,gn
    """
    asked = Asked(overrides, out, dry_run, launcher, jobs, lockstep, partition, time, gpus, wait, config_dir)
    _sweep(asked, norms, any_numbers("--values", values), seeds, key, scale)


def _sweep(
    asked: Asked,
    norms: str | None,
    values: tuple[int | float, ...] | None,
    seeds: str | None,
    key: str = "batch_size",
    scale: str | None = None,
) -> None:
    numbered = numbers("--seeds", seeds)
    overrides = [*(asked.overrides or []), *([f"launcher={asked.launcher}"] if asked.launcher else [])]
    overrides += slurm_overrides(overrides, asked.partition, asked.time, asked.gpus)

    from bnrepro.sweep.configs import compose_base
    from bnrepro.sweep.directory import default_directory

    base = compose_base(overrides, asked.config_dir, key)  # a mistake is said before PyTorch is loaded
    if not asked.dry_run and base.launcher.get("name") == "local":
        from bnrepro.sweep.fork_server import fork_server

        fork_server()  # workers are forked from it: it loads PyTorch while this process does
    with doing("loading PyTorch"):
        from bnrepro.cli.forecast import show_forecast
        from bnrepro.sweep.local import parse_jobs
        from bnrepro.sweep.lockstep import parse_lockstep
        from bnrepro.sweep.plan import Axes
        from bnrepro.sweep.prepare import prepare_sweep

    axes = Axes(texts(norms), values, numbered, key, scale)
    with doing(f"reading {base.data.name}"):
        plan, dataset = prepare_sweep(overrides, axes, asked.config_dir)
    directory = asked.out or default_directory(plan.base, plan.axis)
    on_slurm = check_launcher(plan.base.launcher, asked.jobs, asked.lockstep, asked.wait)
    together = parse_lockstep(asked.lockstep or "auto")
    jobs = asked.jobs if asked.jobs is not None else plan.base.launcher.get("jobs", "auto")
    number = parse_jobs(jobs)
    announcement = Announcement(plan, dataset, directory)
    if asked.dry_run:
        show_forecast(plan, dataset, directory, number, together, announcement, measure=not on_slurm)
    elif on_slurm:
        submit(plan, directory, dataset, together, asked.wait, announcement)
    else:
        _run_here(plan, directory, number, together, announcement)


class Announcement:
    """What a sweep is, said once nothing is refused any more, and before anything else is said."""

    def __init__(self, plan: Plan, dataset: Dataset, directory: Path) -> None:
        self._plan, self._dataset, self._directory = plan, dataset, directory
        self._said = False

    def __call__(self) -> None:
        if not self._said:
            self._said = True
            _announce(self._plan, self._dataset.name, self._directory)
            announce_skipped(self._dataset)

    def say(self, line: str) -> None:
        self()
        typer.echo(line)


def _announce(plan: Plan, data: str, directory: Path) -> None:
    from bnrepro.sweep.axis import number_text

    xs, seeds = ", ".join(map(number_text, plan.axis.values)), ", ".join(map(str, plan.seeds))
    name = "batch sizes" if plan.axis.is_batch_size else plan.axis.key
    images, epochs = (
        _span(values)
        for values in (
            [cell.train_images for cell in plan.cells],
            [cell.config.epochs for cell in plan.cells],
        )
    )
    size = "" if plan.axis.is_batch_size else f", batch size {plan.base.batch_size}"
    typer.echo(
        f"{counted(len(plan.cells), 'cell')}: {', '.join(plan.norms)} × {name} {xs} × seeds {seeds}; "
        f"{plan.base.model.name}, {data} ({images} images), "
        f"{epochs} epoch{'s' if epochs != '1' else ''}, "
        f"protocol {plan.base.protocol.name}{size}"
    )
    typer.echo(f"sweep directory: {directory}")
    if dropped := plan.dropped_images():
        losses = ", ".join(
            f"{lost} of {images:,} at an SGD batch of {size}" for (images, size), lost in dropped.items()
        )
        typer.echo(f"each epoch drops its incomplete last batch: {losses}")


def _span(values: Sequence[int]) -> str:
    """The one value of all cells, or the smallest and the largest."""
    return "–".join(f"{value:,}" for value in sorted({min(values), max(values)}))


def _run_here(
    plan: Plan, directory: Path, jobs: int | None, lockstep: int | None, announcement: Announcement
) -> None:
    from bnrepro.cli.outcome import conclude
    from bnrepro.sweep.run import find_cells, run_sweep
    from bnrepro.training.process.interrupt import interrupted_by

    try:
        with interrupted_by(signal.SIGTERM):
            outcome = run_sweep(plan, directory, jobs, lockstep, announcement.say, announcement)
    except KeyboardInterrupt:
        done = len(find_cells(plan, directory).done)
        raise KeyboardInterrupt(f"with {done} of {counted(len(plan.cells), 'cell')} finished") from None
    conclude(outcome, plan, directory)
