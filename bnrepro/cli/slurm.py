"""`bnrepro sweep --launcher slurm`: its options, and what it says."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bnrepro.config.errors import UsageError, check_choice, one_line

if TYPE_CHECKING:
    from bnrepro.data import Dataset
    from bnrepro.sweep.plan import Plan
    from bnrepro.sweep.slurm.submit import Submission

SLURM = "With --launcher slurm"
Partition = Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=SLURM)]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="MINUTES", help="Limit of a task: minutes, or as 12:30:00 or 1-12.", rich_help_panel=SLURM
    ),
]
Gpus = Annotated[int | None, typer.Option(metavar="N", help="For each process.", rich_help_panel=SLURM)]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the sweep to its end.", rich_help_panel=SLURM)]


def slurm_overrides(
    overrides: Sequence[str], partition: str | None, time: str | None, gpus: int | None
) -> list[str]:
    """The options as overrides. Raises `UsageError` where no launcher was chosen that has them."""
    options = {"partition": partition, "time": time, "gpus": gpus}
    given = {key: value for key, value in options.items() if value is not None}
    if given and not any(override.startswith("launcher=") for override in overrides):
        raise UsageError(f"--{next(iter(given))}: only with --launcher slurm")

    from bnrepro.config.overrides import quoted

    return [f"launcher.{key}={quoted(str(value))}" for key, value in given.items() if key != "gpus"] + (
        [f"launcher.gpus={gpus}"] if gpus is not None else []
    )


def check_launcher(launcher: Mapping[str, Any], jobs: str | None, lockstep: str | None, wait: bool) -> bool:
    """Is it Slurm's? Raises `UsageError` for an option of the other launcher, and for a wrong value."""
    name = launcher["name"]
    check_choice("launcher.name", name, ("local", "slurm"))
    if name == "slurm" and jobs is not None:
        raise UsageError(f"--jobs {jobs}: only on this machine; on Slurm launcher.array_parallelism limits")
    if name == "slurm" and lockstep == "auto":
        raise UsageError(
            "--lockstep auto: is measured on this machine; on Slurm give off or a number of cells"
        )
    if name == "local" and wait:
        raise UsageError("--wait: only with --launcher slurm")
    if name == "slurm":
        from bnrepro.sweep.slurm.parameters import slurm_config

        slurm_config(launcher)
    return name == "slurm"


def submit(
    plan: Plan,
    directory: Path,
    dataset: Dataset,
    lockstep: int | None,
    wait: bool,
    announce: Callable[[], None],
) -> None:
    """Submit what is missing and return, or follow it to the end."""
    from bnrepro.sweep.slurm.parameters import slurm_config
    from bnrepro.sweep.slurm.submit import submit_sweep

    submission = submit_sweep(plan, directory, slurm_config(plan.base.launcher), dataset, lockstep)
    announce()
    _describe(submission)
    where = shlex.quote(str(directory))
    typer.echo(f"Next:\nbnrepro status {where}\nbnrepro plot {where}")
    if wait:
        _follow(plan, directory, len(submission.jobs))
    elif submission.refused:
        raise typer.Exit(1)


def _describe(submission: Submission) -> None:
    if submission.finished:
        typer.echo(f"{submission.finished} cells are finished")
    if submission.with_jobs:
        typer.echo(f"{submission.with_jobs} cells are queued or running from before")
    for cell, why in submission.refused.items():
        typer.echo(f"failed: {cell}: {why}", err=True)
    if not submission.jobs:
        typer.echo("nothing to submit")
        return
    cells = sum(len(job.cells) for job in submission.jobs)
    array = submission.jobs[0].array
    typer.echo(f"submitted job {array}: {cells} cells in {len(submission.jobs)} tasks")
    if submission.estimate is not None:
        from bnrepro.training.progress import clock

        longest = clock(max(submission.estimate.seconds.values()))
        typer.echo(f"the longest cell takes about {longest}, from {submission.estimate.source}")


def _follow(plan: Plan, directory: Path, jobs: int) -> None:
    from bnrepro.rundir.result import failure
    from bnrepro.sweep.directory import CELLS
    from bnrepro.sweep.slurm.follow import follow

    try:
        results, left = follow(plan, directory, jobs)
    except KeyboardInterrupt:
        typer.echo("the jobs go on without this command", err=True)
        raise
    counts = Counter(result["status"] for result in results.values())
    counts.update(status.state for status in left)
    typer.echo(", ".join(f"{number} {state}" for state, number in sorted(counts.items())))
    for cell, result in results.items():
        if result["status"] == "failed":
            message = failure(directory / CELLS / cell, result["message"])
            typer.echo(one_line(f"failed: {cell}: {message}"), err=True)
    for status in left:
        typer.echo(one_line(f"{status.state}: {status.id}: {status.message}"), err=True)
    if left or counts["failed"]:
        raise typer.Exit(1)
