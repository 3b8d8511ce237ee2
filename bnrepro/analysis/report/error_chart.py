"""The figure to hover: error against the axis, with the seeds, the commands and switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from bnrepro.analysis.names import Names
from bnrepro.analysis.placing import MOST_TICKS
from bnrepro.analysis.reference import Reference
from bnrepro.analysis.report.cells import Cell
from bnrepro.analysis.report.chart import Chart, Switch, SwitchItem, new_figure
from bnrepro.analysis.report.error_traces import (
    add_chance,
    add_line,
    add_published,
    add_strip,
    detail_key,
    symbol_of,
)
from bnrepro.analysis.results import Results
from bnrepro.analysis.series import Series, select_series
from bnrepro.analysis.strip import strip_rows
from bnrepro.analysis.style import Style, norm_styles
from bnrepro.analysis.x_axis import BATCH_SIZE, XAxis
from bnrepro.config.errors import one_line, printable
from bnrepro.config.validate import STATISTICS

HEIGHT, ROW, AROUND = 440, 24, 56
"""Pixels: of the chart, of a row of the strip above it, of its margins."""
DODGE = 0.03
"""Of the axis's length: what the lines at one x are spread over."""


@dataclass
class Details:
    """What stands beside the figure when a point is hovered; runs are named by their place in `commands`."""

    commands: list[str] = field(default_factory=list)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ErrorChart:
    """The chart with its switches and what it says of its points."""

    chart: Chart
    switches: list[Switch]
    details: Details
    series: list[Series]
    colors: list[str]
    """Of the lines."""


def draw_errors(
    results: Results, cells: Sequence[Cell], names: Names, reference: Reference | None
) -> ErrorChart:
    """Error in percent with every seed; diverged and failed runs in a strip above."""
    kinds = [kind for kind in STATISTICS if results.table[f"error_{kind}"].notna().any()] or ["running"]
    series, _ = select_series(results, kinds, names)
    styles = norm_styles(list(results.summary["norm"].unique()))
    variants = list(dict.fromkeys(line.variant for line in series))
    rows = strip_rows(series)
    figure = _axes(results.axis, series, len(rows))
    for line, shift in zip(series, _dodges(series), strict=True):
        if line.drawn:
            add_line(figure, line, styles[line.norm], variants, shift)
    add_strip(figure, rows, styles)
    if reference is not None:
        add_published(figure, reference, styles)
    if results.chance is not None:
        add_chance(figure, results.chance, series)
    switches = _switches(series, kinds, styles, reference)
    return ErrorChart(
        Chart("error", "Error", figure, logarithmic="scale"),
        switches,
        _details(results, cells, kinds, names),
        series,
        [style.color for style in styles.values()],
    )


def _axes(axis: XAxis, series: Sequence[Series], rows: int) -> go.Figure:
    height = HEIGHT + ROW * rows
    figure = new_figure(x=axis.label, y="top-1 error (%)", height=height)
    values = sorted({float(x) for line in series for x in line.x})
    ticks: dict[str, Any] = {}
    if len(values) <= MOST_TICKS:
        ticks = {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}
    logarithmic = axis.scale != "linear"
    ends = np.log10([values[0], values[-1]]) if logarithmic else np.array([values[0], values[-1]])
    pad = 0.06 * float(np.ptp(ends)) or 0.5
    limits = [float(ends[0] - pad), float(ends[1] + pad)]
    if axis.key == BATCH_SIZE:  # Wu & He's Fig. 1 runs from 32 down to 2
        limits.reverse()
    figure.update_xaxes(type="log" if logarithmic else "linear", range=limits, **ticks)
    figure.update_yaxes(rangemode="nonnegative")
    if rows:
        split = 1 - (rows * ROW + 8) / (height - AROUND)
        strip = {"domain": [split + 0.02, 1], "range": [rows - 0.4, -0.6]}
        figure.update_layout(
            yaxis={"domain": [0, split]}, yaxis2={**strip, "visible": False, "fixedrange": True}
        )
    return figure


def _dodges(series: Sequence[Series]) -> list[float]:
    """Parts of the axis's length to move each line by, so that intervals do not cover each other."""
    norms = list(dict.fromkeys((line.norm, line.variant) for line in series if not line.shared))
    if len(norms) < 2:
        return [0.0] * len(series)
    place = {norm: DODGE * (rank / (len(norms) - 1) - 0.5) for rank, norm in enumerate(norms)}
    return [place.get((line.norm, line.variant), 0.0) for line in series]


def _switches(
    series: Sequence[Series], kinds: Sequence[str], styles: Mapping[str, Style], reference: Reference | None
) -> list[Switch]:
    norms = {line.norm: line.name for line in series}
    switches = [
        Switch(
            "norm",
            "norms",
            [
                SwitchItem(norm, name, color=styles[norm].color, mark=symbol_of(styles[norm])[1])
                for norm, name in norms.items()
            ],
        )
    ]
    if len(kinds) > 1:
        items = [SwitchItem(kind, kind, on=kind == kinds[0]) for kind in kinds]
        switches.append(Switch("statistics", "statistics", items))
    variants = list(dict.fromkeys(line.variant for line in series if line.variant is not None))
    if variants:
        switches.append(Switch("variant", "sweeps", [SwitchItem(value, value) for value in variants]))
    if reference is not None:
        switches.append(Switch("published", "published", [SwitchItem("published", reference.label)]))
    scale = [SwitchItem("linear", "linear"), SwitchItem("log", "log", on=False)]
    return [*switches, Switch("scale", "error axis", scale, one=True)]


def _details(results: Results, cells: Sequence[Cell], kinds: Sequence[str], names: Names) -> Details:
    details = Details()
    for cell in cells:
        variant = f"{results.variants.key}={cell.variant}" if results.variants.key else None
        where = _places(results, cell)
        details.commands.append(printable(cell.command))
        for x in where:
            item = details.items.setdefault(
                detail_key(cell.norm, x, variant), _new_item(results, cell, x, names, variant)
            )
            item["seeds"].append([_outcome(cell, kinds), len(details.commands) - 1])
    for item in details.items.values():
        runs = len(item["seeds"])
        each = "run, with its command:" if runs == 1 else "runs, each with the command that trains it alone:"
        item["facts"] = f"{item['facts']}{runs} {each}"
    return details


def _places(results: Results, cell: Cell) -> list[float]:
    """Where the cell stands in the figure: at every x, if it was trained once for all."""
    if not cell.row["shared"]:
        return [cell.x]
    return [float(x) for x in results.summary[results.axis.column].unique()]


def _new_item(results: Results, cell: Cell, x: float, names: Names, variant: str | None) -> dict[str, Any]:
    summary = results.summary
    rows = summary[(summary["norm"] == cell.norm) & (summary[results.axis.column] == x)]
    if variant is not None:
        rows = rows[rows["variant"] == cell.variant]
    facts = [
        f"{row['statistics']}: {row['mean']:.2f} %"
        + (f" [{row['low']:.2f}, {row['high']:.2f}]" if row["n"] >= 3 else "")
        + f" (n = {row['n']})"
        for row in rows.to_dict("records")
        if row["n"]
    ]
    title = ", ".join(part for part in (names(cell.norm), f"{results.axis.key} {x:g}", variant) if part)
    return {
        "title": printable(title),
        "facts": "".join(f"{fact} · " for fact in facts),
        "seeds": [],
    }


def _outcome(cell: Cell, kinds: Sequence[str]) -> str:
    row = cell.row
    if row["status"] != "completed":
        return one_line(f"seed {row['seed']}: {row['status']}: {row['message']}")
    known = [(kind, row[f"error_{kind}"]) for kind in kinds if not np.isnan(row[f"error_{kind}"])]
    return f"seed {row['seed']}: " + ", ".join(f"{error:.2f} % {kind}" for kind, error in known)
