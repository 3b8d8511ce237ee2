"""The benchmark as a figure: images per second against batch size, a panel per norm."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bnrepro.analysis.style import GRAY, Style, drawing, render
from bnrepro.bench.report import describe_machine
from bnrepro.rundir.files import write_bytes

FORMATS = ("png", "svg")
LINES = {
    "limit": ("limit: the bare step", Style("#1A1A1A", "^", ":")),
    "ours": ("bnrepro", Style("#0072B2", "o", "-")),
    "tutorial": ("tutorial loop, at its fastest", Style("#D55E00", "s", "--")),
}
PANEL = 3.2
"""Inches."""
CHARACTERS_PER_INCH = 18
"""Of the caption."""


def draw_bench(report: Mapping[str, Any]) -> Figure:
    """Medians, and bars from the lowest to the highest round."""
    norms = list(dict.fromkeys(row["norm"] for row in report["cells"]))
    with drawing():
        figure = Figure(figsize=(max(4.6, PANEL * len(norms) + 0.6), 3.9), layout="constrained")
        panels = figure.subplots(1, len(norms), sharey=True, squeeze=False)[0]
        for axes, norm in zip(panels, norms, strict=True):
            _draw_panel(axes, norm, [row for row in report["cells"] if row["norm"] == norm])
        panels[0].set_ylabel("training, images per second")
        panels[0].legend(loc="best")
        caption = textwrap.fill(describe_machine(report), int(CHARACTERS_PER_INCH * figure.get_figwidth()))
        figure.supxlabel(caption, fontsize=6.5, color=GRAY)
    return figure


def _draw_panel(axes: Axes, norm: str, rows: list[Mapping[str, Any]]) -> None:
    rows = sorted(rows, key=lambda row: row["batch_size"])
    sizes = [row["batch_size"] for row in rows]
    for kind, (label, style) in LINES.items():
        speeds = [row[f"{kind}_images_per_second"] for row in rows]
        medians = [speed["median"] for speed in speeds]
        below = [speed["median"] - speed["low"] for speed in speeds]
        above = [speed["high"] - speed["median"] for speed in speeds]
        shape: dict[str, Any] = {"color": style.color, "marker": style.marker, "linestyle": style.line}
        axes.errorbar(sizes, medians, yerr=(below, above), label=label, elinewidth=1, capsize=2, **shape)
    axes.set_title(norm)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_xticks(sizes, labels=[str(size) for size in sizes])
    axes.set_xlabel("batch_size")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def write_figure(report: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write bench.png and bench.svg; their paths."""
    figure = draw_bench(report)
    paths = [directory / f"bench.{extension}" for extension in FORMATS]
    for path in paths:
        write_bytes(path, render(figure, path.suffix[1:]))
    return paths
