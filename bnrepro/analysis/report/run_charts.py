"""What happened during the runs: learning curves, and running against precise statistics per layer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnrepro.analysis.names import Names
from bnrepro.analysis.report.cells import Cell
from bnrepro.analysis.report.chart import Chart, Switch, SwitchItem, new_figure, numbers, text
from bnrepro.analysis.report.colors import FAINT
from bnrepro.analysis.report.error_traces import symbol_of
from bnrepro.analysis.results import Results
from bnrepro.analysis.style import norm_styles

Lines = Sequence[Mapping[str, Any]]
CURVES = {"error": "test error (%)", "train_error": "training error (%)", "loss": "training loss"}
INSIDE = {
    "distance_mean": "running mean",
    "distance_var": "running variance",
    "spread_mean": "spread of the mean",
    "spread_var": "spread of the variance",
}
"""Of `layers` in metrics.jsonl: the distance to the precise statistics, and the mini-batches' own noise."""
HEIGHT = 290
MOST_POINTS = 24_000
"""Of all curves: the file is to stay below 6 MB, 4.8 of which are plotly's."""


@dataclass(frozen=True)
class Panels:
    """Charts side by side, a panel per norm; the colours are the values of the axis."""

    charts: list[Chart]
    switches: list[Switch]
    thinned: bool = False


def draw_curves(
    results: Results, runs: Sequence[tuple[Cell, Lines]], names: Names, colors: Mapping[float, str]
) -> Panels:
    """Error, training error and loss against epoch, a line per run."""
    kinds = [kind for kind in CURVES if any(_point(line, kind) for _, lines in runs for line in lines)]
    total = len(kinds) * sum(len(lines) for _, lines in runs)
    step = max(1, math.ceil(total / MOST_POINTS))
    ranges = {kind: _range(_point(line, kind) for _, lines in runs for line in lines) for kind in kinds}
    last = max((lines[-1]["epoch"] for _, lines in runs if lines), default=1)
    charts = []
    for place, (norm, mine) in enumerate(_by_norm(runs).items()):
        figure = new_figure(x="epoch", y="", height=HEIGHT)
        figure.update_xaxes(range=[0, 1.02 * last])
        # small batches, which the figure is about, lie on top
        for cell, lines in sorted(mine, key=lambda run: -run[0].x):
            for kind in kinds:
                _add_curve(figure, results, cell, _thinned(lines, step), kind, colors)
        charts.append(Chart(f"curves-{place}", names(norm), figure, ranges=ranges))
    items = [SwitchItem(kind, CURVES[kind], on=kind == kinds[0]) for kind in kinds]
    return Panels(charts, [Switch("curve", "shown", items, one=True)] if len(items) > 1 else [], step > 1)


def draw_inside(
    results: Results, runs: Sequence[tuple[Cell, Lines]], names: Names, colors: Mapping[float, str]
) -> Panels:
    """Per layer, at the last evaluation that has it: means over the seeds."""
    charts = []
    kinds: dict[str, None] = {}
    for place, (norm, mine) in enumerate(_by_norm(runs).items()):
        found = _layers(mine)
        if not found:
            continue
        figure = new_figure(x="", y="", height=HEIGHT + 60)
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
        figure.update_xaxes(type="category", tickangle=-60, tickfont={"size": 9})
        for (x, variant), layers in sorted(found.items()):
            for kind in (kind for kind in INSIDE if any(kind in values for values in layers.values())):
                kinds[kind] = None
                at = _where(results, x, variant)
                values = {name: measured[kind] for name, measured in layers.items() if measured.get(kind)}
                figure.add_scatter(
                    x=[text(name) for name in values],
                    y=numbers(np.mean(seeds) for seeds in values.values()),
                    mode="lines+markers",
                    line={"color": colors[x], "width": 1.5},
                    marker={"size": 4},
                    hovertext=[
                        f"{text(name)}<br>{at}<br>{np.mean(seeds):.3g} (mean of {len(seeds)})"
                        for name, seeds in values.items()
                    ],
                    hoverinfo="text",
                    name=at,
                    meta={"on": {"inside": kind}},
                )
        charts.append(Chart(f"inside-{place}", names(norm), figure))
    items = [SwitchItem(kind, INSIDE[kind], on=kind == "distance_var") for kind in INSIDE if kind in kinds]
    return Panels(charts, [Switch("inside", "shown", items, one=True)] if items else [])


def draw_speed(results: Results, cells: Sequence[Cell], names: Names, set_up: Mapping[str, Any]) -> Chart:
    """Images per second against the axis: means over the runs of a point. `set_up`: of the x axis."""
    styles = norm_styles(list(results.summary["norm"].unique()))
    figure = new_figure(x=results.axis.label, y="images per second", height=HEIGHT)
    figure.update_xaxes(set_up)
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    speeds: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        if _finite(cell.row.get("images_per_second")):
            speeds[cell.norm, cell.variant][cell.x].append(cell.row["images_per_second"])
    for (norm, variant), points in speeds.items():
        ordered = sorted(points)
        name = ", ".join(filter(None, (names(norm), variant)))
        figure.add_scatter(
            x=ordered,
            y=numbers(np.mean(points[x]) for x in ordered),
            mode="lines+markers",
            line={"color": styles[norm].color, "width": 2},
            marker={"symbol": symbol_of(styles[norm])[0], "size": 8},
            hovertext=[f"{text(name)} at {x:g}<br>{np.mean(points[x]):,.0f} images/s" for x in ordered],
            hoverinfo="text",
            name=text(name),
        )
    return Chart("speed", "Speed", figure)


def _add_curve(
    figure: Any, results: Results, cell: Cell, lines: Lines, kind: str, colors: Mapping[float, str]
) -> None:
    points = [(line["epoch"], value) for line in lines if (value := _point(line, kind)) is not None]
    if not points:
        return
    epochs, values = zip(*points, strict=True)
    diverged = cell.row["status"] == "diverged"
    at = _where(results, cell.x, cell.variant)
    about = f"{'all sizes' if cell.row['shared'] else at}, seed {cell.row['seed']}{', diverged' * diverged}"
    figure.add_scatter(
        x=list(epochs),
        y=numbers(values),
        mode="lines+markers" if diverged or len(points) == 1 else "lines",
        line={"color": FAINT if cell.row["shared"] else colors[cell.x], "width": 1.3},
        marker={"symbol": "x-thin", "line": {"width": 1.5}, "size": [0] * (len(points) - 1) + [8]}
        if diverged
        else {"size": 5},
        hovertemplate="%{fullData.name}<br>epoch %{x}: %{y:.3~f}<extra></extra>",
        name=about,
        meta={"on": {"curve": kind}},
    )


def _where(results: Results, x: float, variant: str) -> str:
    return text(f"{results.axis.key} {x:g}" + (f", {results.variants.key}={variant}" if variant else ""))


def _point(line: Mapping[str, Any], kind: str) -> float | None:
    value = line["error"].get("running") if kind == "error" else line.get(kind)
    return float(value) if value is not None else None


def _range(values: Iterable[float | None]) -> list[float]:
    known = [value for value in values if value is not None]
    margin = 0.04 * (max(known) - min(known)) or 0.5
    return [max(0.0, min(known)) - margin, max(known) + margin]


def _thinned(lines: Lines, step: int) -> Lines:
    """Every `step`-th evaluation, and the last one."""
    return lines if step == 1 else [*lines[: len(lines) - 1 : step], *lines[-1:]]


def _by_norm(runs: Sequence[tuple[Cell, Lines]]) -> dict[str, list[tuple[Cell, Lines]]]:
    norms: dict[str, list[tuple[Cell, Lines]]] = {}
    for cell, lines in runs:
        if lines:
            norms.setdefault(cell.norm, []).append((cell, lines))
    return norms


def _layers(
    runs: Sequence[tuple[Cell, Lines]],
) -> dict[tuple[float, str], dict[str, dict[str, list[float]]]]:
    """By x and variant: layer -> measure -> a value per seed, above 0, as the axis is logarithmic."""
    found: dict[tuple[float, str], dict[str, dict[str, list[float]]]] = {}
    for cell, lines in runs:
        last: Mapping[str, Any] = next((line for line in reversed(lines) if line.get("layers")), {})
        for layer, measured in last.get("layers", {}).items():
            for kind in INSIDE:
                if isinstance(measured, Mapping) and _finite(measured.get(kind)) and measured[kind] > 0:
                    values = found.setdefault((cell.x, cell.variant), {}).setdefault(layer, {})
                    values.setdefault(kind, []).append(float(measured[kind]))
    return found


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
