"""`bnrepro train`"""

from __future__ import annotations

import signal
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides, output_directory
from bnrepro.cli.notices import announce_data, doing

if TYPE_CHECKING:
    from bnrepro.config.schema import RunConfig
    from bnrepro.data import Dataset
    from bnrepro.training.progress import Progress, ProgressLine


def train(
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=output_directory,
            metavar="DIR",
            help="The run directory; default results/runs/<experiment>-<protocol>-<norm>-b<batch>-s<seed>.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the directory's checkpoint.")] = True,
    config_dir: ConfigDir = None,
) -> None:
    """Train and evaluate one run; the same command continues it, or prints its result.

    Example: bnrepro train experiment=digits norm=gn batch_size=4
    """
    from bnrepro.config.compose import compose_config

    config = compose_config(overrides or [], config_dir)

    from contextlib import nullcontext

    from bnrepro.config.errors import one_line
    from bnrepro.rundir.describe import describe
    from bnrepro.rundir.lock import exclusive
    from bnrepro.rundir.result import failure
    from bnrepro.sweep.directory import cell_id, default_directory
    from bnrepro.training.process.interrupt import Interrupted, stop_on_signals
    from bnrepro.training.progress import ProgressLine

    with doing("loading PyTorch"):
        from bnrepro.training.process.distributed import processes_of_run
        from bnrepro.training.run import run

    default = default_directory(config)
    directory = out or default.with_name(f"{default.name}-{cell_id(config)}")
    before = _written(directory)
    with (
        stop_on_signals(signal.SIGINT, signal.SIGTERM) as stop,
        processes_of_run() as world,
        exclusive(directory, "a run", config.lock) if world.is_main else nullcontext(),
        ProgressLine(stop) as line,
    ):
        if world.is_main:
            line.wait_for(f"reading {config.data.name}")
        try:
            result = run(
                config,
                directory,
                overrides=overrides or [],
                resume=resume,
                stop=stop,
                report=line if world.is_main else lambda progress: None,
                announce=partial(_announce, config, line) if world.is_main else lambda dataset: None,
                world=world,
            )
        except Interrupted:
            if line.reader_left:
                raise BrokenPipeError from None
            raise KeyboardInterrupt(_place(line.last)) from None
    if world.is_main:
        if before is not None and before == _written(directory):
            date = datetime.fromtimestamp(before)
            typer.echo(f"already finished (result of {date:%Y-%m-%d %H:%M})")
        typer.echo(describe({**result, "message": failure(directory, result["message"])}))
        typer.echo(f"run directory: {one_line(str(directory))}")
    if result["status"] == "failed":
        raise typer.Exit(1)


def _announce(config: RunConfig, line: ProgressLine, dataset: Dataset) -> None:
    line.wait_for(None)
    announce_data(config, dataset)
    line.wait_for(f"preparing {config.model.name}")


def _written(directory: Path) -> float | None:
    """When the result there was written, in seconds since 1970; None: there is none."""
    from bnrepro.rundir.result import RESULT

    try:
        return (directory / RESULT).stat().st_mtime
    except OSError:
        return None


def _place(last: Progress | None) -> str:
    if last is None:
        return "before the first step"
    return f"in epoch {last.epoch}, after step {last.step} of {last.total_steps}"
