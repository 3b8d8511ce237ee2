"""`bnrepro train`"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides


def train(
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The run directory; default results/runs/<experiment>-<protocol>-<norm>-b<batch>-s<seed>.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the directory's checkpoint.")] = True,
    config_dir: ConfigDir = None,
) -> None:
    """Train and evaluate one run; the same command continues it, or prints its result."""
    from bnrepro.config.compose import compose_config

    config = compose_config(overrides or [], config_dir)

    from contextlib import nullcontext

    from bnrepro.rundir.describe import describe
    from bnrepro.rundir.lock import exclusive
    from bnrepro.sweep.directory import cell_id, default_directory
    from bnrepro.training.process.distributed import processes_of_run
    from bnrepro.training.process.interrupt import Interrupted, stop_on_signals
    from bnrepro.training.progress import ProgressLine
    from bnrepro.training.run import run

    default = default_directory(config)
    directory = out or default.with_name(f"{default.name}-{cell_id(config)}")
    with (
        stop_on_signals(signal.SIGINT, signal.SIGTERM) as stop,
        processes_of_run() as world,
        exclusive(directory, "a run") if world.is_main else nullcontext(),
        ProgressLine() as line,
    ):
        try:
            result = run(
                config,
                directory,
                overrides=overrides or [],
                resume=resume,
                stop=stop,
                report=line if world.is_main else lambda progress: None,
                world=world,
            )
        except Interrupted:
            raise KeyboardInterrupt from None
    if world.is_main:
        typer.echo(describe(result))
        typer.echo(f"run directory: {directory}")
    if result["status"] == "failed":
        raise typer.Exit(1)
