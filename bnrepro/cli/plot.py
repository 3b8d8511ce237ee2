"""`bnrepro plot`: tables and figures of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    sweep_dirs: Annotated[list[Path], typer.Argument(metavar="SWEEP_DIR", help="What `sweep` wrote.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write; needed with several sweeps.", show_default="SWEEP_DIR"),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Of the figures: png, svg, pdf.")] = "png,svg,pdf",
    statistics: Annotated[
        str,
        typer.Option(help="What batch norms use at evaluation: running, precise, batch; a line for each."),
    ] = "running",
    reference: Annotated[
        str | None,
        typer.Option(
            help="Published points to draw beside, as wu_he_2018; none.", show_default="experiment's"
        ),
    ] = None,
    x_order: Annotated[
        str, typer.Option(help="large-to-small, as Wu & He's figure, or small-to-large.")
    ] = "large-to-small",
) -> None:
    """Draw error against batch size, and the learning curves; write table.csv and summary.csv.

    Several sweeps share a figure where only norms, batch sizes and seeds differ.
    """
    from bnrepro.analysis.report import write_report

    report = write_report(
        sweep_dirs,
        out=out,
        formats=_names(formats),
        statistics=_names(statistics),
        reference=reference,
        x_order=x_order,
    )
    for note in report.notes:
        typer.echo(note)
    for path in report.written:
        typer.echo(path)


def _names(text: str) -> list[str]:
    """`png, svg` as a list, each name once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",")))
