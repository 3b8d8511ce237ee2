"""`bnrepro report`: one HTML file that opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import existing_directory, output_file
from bnrepro.config.errors import one_line


def report(
    directories: Annotated[
        list[Path],
        typer.Argument(
            parser=existing_directory,
            metavar="DIR",
            help="What `sweep`, `train` or `claims` wrote; also results/NAME.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=output_file,
            metavar="FILE",
            help="The page; needed with several directories.",
            show_default="DIR/report.html",
        ),
    ] = None,
) -> None:
    """Write one HTML page: answer, figure to hover, effects, curves, cost, failures, environment.

    Example: bnrepro report results/runs/digits-fixed_sgd

    The file holds everything it needs, opens without a network and can be sent to others. Unfinished sweeps
    can be reported, too; several sweeps share a page where `plot` draws them into one figure.
    """
    from bnrepro.analysis.clean_matplotlib import import_matplotlib

    import_matplotlib()
    from bnrepro.analysis.report.write import write_report

    done = write_report(directories, out)
    for line in done.damaged:
        typer.echo(one_line(f"left out: {line}"))
    typer.echo(done.path)
    if done.damaged:
        raise typer.Exit(1)
