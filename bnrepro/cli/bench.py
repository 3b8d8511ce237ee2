"""`bnrepro bench`"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides, numbers, texts

if TYPE_CHECKING:
    from rich.table import Table

DEFAULT_EXPERIMENT = "experiment=cifar10_quick"
QUICK_NORMS, QUICK_SIZES = ("bn",), (1, 4, 16, 128)


def bench(
    overrides: Overrides = None,
    norms: Annotated[str | None, typer.Option(metavar="bn,gn,…", help="Default: the experiment's.")] = None,
    batch_sizes: Annotated[
        str | None, typer.Option(metavar="1,2,4,…", help="Images per worker. Default: the experiment's.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Within 3 minutes: bn at 1, 4, 16, 128 and shorter rounds.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="For bench.json, bench.csv and the figure.")
    ] = Path("results/runs/bench"),
    config_dir: ConfigDir = None,
) -> None:
    """Training speed on this machine, beside the usual tutorial loop and the limit of the bare step.

    Without experiment= that of cifar10_quick; without data.root= on random images.
    """
    from bnrepro.sweep.plan import Axes

    axes = Axes(
        texts(norms) or (QUICK_NORMS if quick else None),
        numbers("--batch-sizes", batch_sizes) or (QUICK_SIZES if quick else None),
        seeds=(0,),
    )
    overrides = overrides or []
    if not any(override.startswith("experiment=") for override in overrides):
        overrides = [DEFAULT_EXPERIMENT, *overrides]

    from rich.console import Console

    from bnrepro.bench.figure import write_figure
    from bnrepro.bench.report import describe_machine, write_report
    from bnrepro.bench.run import run_bench

    rounds, seconds = (3, 0.7) if quick else (5, 2.0)
    report = run_bench(overrides, axes, config_dir, rounds, seconds, say=typer.echo)
    console = Console(highlight=False)
    console.print(_table(report))
    console.print(describe_machine(report), soft_wrap=True)
    for path in [*write_report(report, out), *write_figure(report, out)]:
        typer.echo(path)


def _table(report: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("cell", no_wrap=True)
    for name in ("bnrepro /s", "tutorial /s", "limit /s", "a/b", "a/c", "memory MB", "of peak"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report["cells"]:
        speeds = (_spread(row[f"{kind}_images_per_second"], ",.0f") for kind in ("ours", "tutorial", "limit"))
        ratios = (_spread(row[f"ours_per_{kind}"], ".2f") for kind in ("tutorial", "limit"))
        memory = "/".join(
            f"{row[f'{kind}_peak_memory_bytes'] / 1e6:.0f}" for kind in ("ours", "tutorial", "limit")
        )
        share = f"{row['share_of_matrix_peak']:.1%}"
        table.add_row(f"{row['norm']}-b{row['batch_size']}", *speeds, *ratios, memory, share)
    table.caption = (
        "images per second of training: median (lowest–highest round); (a) bnrepro's workers, (b) the "
        "tutorial loop with its best number of loader workers, (c) forward, backward and step on one batch "
        "that is there already; memory: peak of a process of a / b / c"
    )
    return table


def _spread(values: Mapping[str, Any], form: str) -> str:
    return f"{values['median']:{form}} ({values['low']:{form}}–{values['high']:{form}})"
