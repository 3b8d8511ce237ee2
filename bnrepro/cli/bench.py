"""`bnrepro bench`"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides, numbers, output_directory, texts
from bnrepro.cli.columns import columns

DEFAULT_EXPERIMENT = "experiment=cifar10_quick"
KINDS = ("ours", "tutorial", "limit")
LEGEND = (
    "training images per second, median (lowest–highest round): (a) bnrepro's workers; (b) the tutorial loop "
    "in its fastest way: torch's threads × loader workers; (c) forward, backward and step on one batch that "
    "is there already. Memory: peak of a process of a/b/c. Of peak: a's share of the matrix products'"
)
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
        Path,
        typer.Option(
            parser=output_directory, metavar="DIR", help="For bench.json, bench.csv and the figure."
        ),
    ] = Path("results/runs/bench"),
    config_dir: ConfigDir = None,
) -> None:
    """Training speed on this machine, beside the usual tutorial loop and the limit of the bare step.

    Example: bnrepro bench --quick

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

    from bnrepro.bench.figure import write_figure
    from bnrepro.bench.report import describe_machine, write_report
    from bnrepro.bench.run import run_bench

    rounds, seconds = (3, 0.7) if quick else (5, 2.0)
    report = run_bench(overrides, axes, config_dir, rounds, seconds, say=typer.echo)
    typer.echo("\n".join(_lines(report)))
    typer.echo(LEGEND)
    typer.echo("\n".join(_evaluation_lines(report)))
    typer.echo(describe_machine(report))
    for path in [*write_report(report, out), *write_figure(report, out)]:
        typer.echo(path)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    """A line per cell: speeds and ratios as median (lowest–highest round)."""
    together = any(row["lockstep"] > 1 for row in report["cells"])
    rows = []
    for row in report["cells"]:
        speeds = (_spread(row[f"{kind}_images_per_second"], ",.0f") for kind in KINDS)
        ratios = (_spread(row[f"ours_per_{kind}"], ".2f") for kind in ("tutorial", "limit"))
        memory = "/".join(f"{row[f'{kind}_peak_memory_bytes'] / 1e6:.0f}" for kind in KINDS)
        steps = (str(row["lockstep"]), f"{row['ours_milliseconds_per_model_step']:.3f}") if together else ()
        share = f"{row['share_of_matrix_peak']:.1%}"
        way = f"{row['tutorial_threads']} × {row['loader_workers']}"
        rows.append((f"{row['norm']}-b{row['batch_size']}", *speeds, way, *ratios, memory, share, *steps))
    right = ["a bnrepro", "b tutorial", "c limit", "b's way", "a/b", "a/c", "memory MB", "of peak"]
    right += ["lockstep", "ms per model and step"] if together else []
    return columns(("cell", *right), rows, right)


def _evaluation_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """A line per norm."""
    rows = []
    for row in report["evaluation"]:
        speeds = (_spread(row[f"{kind}_images_per_second"], ",.0f") for kind in ("evaluation", "forward"))
        rows.append((row["norm"], *speeds, _spread(row["evaluation_per_forward"], ".2f")))
    right = ("evaluation, images/s", "forward alone", "ratio")
    return columns(("norm", *right), rows, right)


def _spread(values: Mapping[str, Any], form: str) -> str:
    return f"{values['median']:{form}} ({values['low']:{form}}–{values['high']:{form}})"
