"""`bnrepro plot`: tables and figures of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import existing_directory, output_directory
from bnrepro.cli.completion import references, words

FORMATS = ("png", "svg", "pdf", "md", "tex")


def plot(
    sweep_dirs: Annotated[
        list[Path],
        typer.Argument(parser=existing_directory, metavar="SWEEP_DIR", help="What `sweep` wrote."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=output_directory,
            help="Where to write; needed with several sweeps.",
            show_default="SWEEP_DIR",
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            autocompletion=words(*FORMATS),
            help="Figures: png, svg, pdf; the table of effects: md, tex.",
        ),
    ] = "png,svg,pdf",
    statistics: Annotated[
        str,
        typer.Option(help="What batch norms use at evaluation: running, precise, batch; a line for each."),
    ] = "running",
    reference: Annotated[
        str | None,
        typer.Option(
            autocompletion=references,
            help="Published points to draw beside, as wu_he_2018; none.",
            show_default="experiment's",
        ),
    ] = None,
    x_order: Annotated[
        str, typer.Option(help="large-to-small, as Wu & He's figure, or small-to-large.")
    ] = "large-to-small",
    baseline: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="The batch size to compare the others with.",
            show_default="each norm's best of 16 and above",
        ),
    ] = None,
) -> None:
    """Draw error against batch size, and the learning curves; write table.csv, summary.csv and effects.csv.

    Example: bnrepro plot results/runs/digits-fixed_sgd --format png,md

    Several sweeps share a figure where only norms, batch sizes and seeds differ.
    """
    from bnrepro.analysis.plot import write_plots
    from bnrepro.config.errors import one_line

    plots = write_plots(
        sweep_dirs,
        out=out,
        formats=_names(formats),
        statistics=_names(statistics),
        reference=reference,
        x_order=x_order,
        baseline=baseline,
    )
    for line in (*plots.effects, *plots.notes):
        typer.echo(one_line(line))
    for path in plots.written:
        typer.echo(path)
    if plots.damaged:
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    """`png, svg` as a list, each name once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",")))
