"""`bnrepro plot`: tables and figures of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import existing_directory, output_directory, texts
from bnrepro.cli.completion import choices_of, references, words
from bnrepro.config.errors import UsageError, one_line

FORMATS = ("png", "svg", "pdf", "md", "tex")
DRAWN = "What is drawn"
LOOKS = "How it looks"


def plot(
    sweep_dirs: Annotated[
        list[Path],
        typer.Argument(
            parser=existing_directory,
            metavar="SWEEP_DIR",
            help="What `sweep` wrote; also a run's directory, or results/NAME.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=output_directory,
            metavar="DIR",
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
    norms: Annotated[
        str | None,
        typer.Option(
            autocompletion=choices_of("norm"),
            metavar="bn,gn,…",
            help="In this order.",
            show_default="all",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    batch_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="1,2,…",
            help="Or the values of what the sweep goes over.",
            show_default="all",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    statistics: Annotated[
        str,
        typer.Option(
            autocompletion=words("running", "precise", "batch"),
            help="What batch norms use at evaluation: running, precise, batch; a line for each.",
            rich_help_panel=DRAWN,
        ),
    ] = "running",
    reference: Annotated[
        str | None,
        typer.Option(
            autocompletion=references,
            help="Published points to draw beside, as wu_he_2018; none.",
            show_default="experiment's",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    baseline: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="The batch size, or other value, to compare the rest with.",
            show_default="each norm's best, of batch sizes from 16 on",
            rich_help_panel=DRAWN,
        ),
    ] = None,
    probes: Annotated[
        bool,
        typer.Option(
            "--probes",
            help="What probes=[…] measured inside: each layer over the steps, up to 6 runs side by side.",
            rich_help_panel=DRAWN,
        ),
    ] = False,
    x_order: Annotated[
        str | None,
        typer.Option(
            autocompletion=words("large-to-small", "small-to-large"),
            help="large-to-small, as Wu & He's figure, or small-to-large.",
            show_default="large-to-small for batch sizes",
            rich_help_panel=LOOKS,
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(autocompletion=words("paper", "talk"), help="paper or talk.", rich_help_panel=LOOKS),
    ] = "paper",
    size: Annotated[
        str | None, typer.Option(metavar="7x4", help="Inches, width x height.", rich_help_panel=LOOKS)
    ] = None,
    ylim: Annotated[
        str | None, typer.Option(metavar="0,60", help="Error in percent.", rich_help_panel=LOOKS)
    ] = None,
    title: Annotated[str | None, typer.Option(help="Above the figure.", rich_help_panel=LOOKS)] = None,
    caption: Annotated[
        bool, typer.Option("--caption/--no-caption", help="What must be known.", rich_help_panel=LOOKS)
    ] = True,
    labels: Annotated[
        str,
        typer.Option(
            autocompletion=words("names", "config"),
            help="names, as Batch norm, or config, as bn.",
            rich_help_panel=LOOKS,
        ),
    ] = "names",
) -> None:
    """Draw error against batch size, and the learning curves; compare the batch sizes.

    Example: bnrepro plot results/runs/digits-fixed_sgd --baseline 32 --format png,md

    Sweeps that differ in norms, batch sizes and seeds share a figure; so do sweeps that differ in one key,
    with a line style for each. Written beside the figures: table.csv, summary.csv and effects.csv.
    """
    from bnrepro.analysis.clean_matplotlib import import_matplotlib

    import_matplotlib()
    if probes:
        from bnrepro.analysis.probe_figure import write_probes

        for path in write_probes(sweep_dirs, out, _distinct(formats)):
            typer.echo(path)
        return
    from bnrepro.analysis.figure import Options
    from bnrepro.analysis.plot import Choice, write_plots

    plots = write_plots(
        sweep_dirs,
        out=out,
        formats=_distinct(formats),
        choice=Choice(
            statistics=tuple(_distinct(statistics)),
            norms=texts(norms),
            values=_numbers("--batch-sizes", batch_sizes),
            reference=reference,
            baseline=baseline,
            labels=labels,
        ),
        options=Options(
            style=style,
            size=_pair("--size", size, "x", least=1.0),
            ylim=_pair("--ylim", ylim, ",", least=0.0),
            title=title,
            caption=caption,
            x_order=x_order,
        ),
    )
    for line in (*plots.effects, *plots.notes):
        typer.echo(one_line(line))
    for path in plots.written:
        typer.echo(path)
    if plots.damaged:
        raise typer.Exit(1)


def _distinct(text: str) -> list[str]:
    """`png, svg` as a list, each name once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",")))


def _numbers(option: str, value: str | None) -> tuple[float, ...] | None:
    try:
        return tuple(map(float, texts(value) or ())) if value is not None else None
    except ValueError:
        raise UsageError(f"{option} {value}: must be numbers with commas between, as 1,2,4") from None


def _pair(option: str, value: str | None, between: str, least: float) -> tuple[float, float] | None:
    """`7x4` as numbers; the second of two limits must be the larger one."""
    if value is None:
        return None
    try:
        first, second = map(float, value.split(between))
        if not (least <= first <= 1000 and least <= second <= 1000) or (between == "," and first >= second):
            raise ValueError
    except ValueError:
        example = "7x4 (inches, from 1)" if between == "x" else "0,60 (percent, rising)"
        raise UsageError(f"{option} {value}: must be two numbers, as {example}") from None
    return first, second
