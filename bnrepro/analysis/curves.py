"""Learning curves: error against epoch, one line per cell, a small panel per norm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.ends import End, label_ends
from bnrepro.analysis.figure import DEFAULT, Options, add_caption, finish
from bnrepro.analysis.names import Names
from bnrepro.analysis.results import Results
from bnrepro.analysis.style import GRAY, VARIANT_LINES, Look, drawing

MOST_COLUMNS = 4
RASTERIZE_ABOVE = 300
"""Lines from which on a panel is a picture inside SVG and PDF, which viewers are slow with otherwise."""
DARK, LIGHT = 0.0, 0.86
"""Ends of the colour map in use: white paper hides its light end."""
PANEL = 2.0
"""Inches, height of a panel."""


@dataclass(frozen=True)
class Curve:
    """One cell's way: top-1 error in percent under running statistics, after epochs."""

    norm: str
    x: float
    shared: bool
    diverged: bool
    points: np.ndarray
    """`(evaluations, 2)`: epoch and error."""
    variant: str = ""


def read_curves(results: Results) -> tuple[list[Curve], list[str]]:
    """Of each finished cell with an evaluation, and a line for each that cannot be read.

    A run that diverged before its first evaluation is a point at chance.
    """
    curves: list[Curve] = []
    damaged: list[str] = []
    for variant, row, lines in results.runs(damaged):
        errors = [(line["epoch"], line["error"].get("running")) for line in lines]
        points = [(float(epoch), error) for epoch, error in errors if error is not None]
        diverged = row["status"] == "diverged"
        if not points and diverged and results.chance is not None:
            points = [(0.0, results.chance)]
        if points:
            array = np.array(points, dtype=float)
            x = float(row[results.axis.column])
            curves.append(Curve(row["norm"], x, row["shared"], diverged, array, variant))
    return curves, damaged


def draw_curves(
    curves: Sequence[Curve], caption: str, names: Names = str, options: Options = DEFAULT
) -> Figure:
    """A panel per norm, one line per cell, coloured by batch size; crosses end diverged runs."""
    look = options.look
    norms = list(dict.fromkeys(curve.norm for curve in curves))
    columns = min(MOST_COLUMNS, len(norms))
    rows = math.ceil(len(norms) / columns)
    colors = _colors({curve.x for curve in curves if not curve.shared})
    variants = list(dict.fromkeys(curve.variant for curve in curves))
    with drawing(look):
        size = (max(4.5, 2.3 * columns + 0.6), PANEL * rows + 0.9)
        figure = Figure(options.size or (look.scale * size[0], look.scale * size[1]))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, norm in zip(panels.flat, norms, strict=False):
            mine = [curve for curve in curves if curve.norm == norm]
            _draw_panel(panel, names(norm), mine, colors, variants, look)
        _set_axes(panels, len(norms), columns, curves, options)
        text = add_caption(figure, caption, look) if options.caption else 0.0
        height = (figure.get_figheight() - text - 0.5 * look.scale) / rows - 0.3 * look.scale
        for panel, norm in zip(panels.flat, norms, strict=False):
            _label_sizes(panel, [curve for curve in curves if curve.norm == norm], colors, height, look)
        if options.title:
            figure.suptitle(options.title, x=0.012, ha="left", fontsize=look.points(11))
        finish(figure, look)
    return figure


def _colors(values: Iterable[float]) -> dict[float, Any]:
    """Steps of a map whose luminance rises with x, also in grayscale."""
    ordered = sorted(values)
    steps = matplotlib.colormaps["viridis"](np.linspace(DARK, LIGHT, max(2, len(ordered))))
    return dict(zip(ordered, steps, strict=False))


def _set_axes(panels: np.ndarray, used: int, columns: int, curves: Sequence[Curve], options: Options) -> None:
    for panel in panels.flat[used:]:
        panel.set_visible(False)
    for panel in panels.flat[max(0, used - columns) : used]:
        panel.set_xlabel("epoch")
        panel.tick_params(labelbottom=True)
    panels[0, 0].xaxis.set_major_locator(MaxNLocator(5, integer=True))  # shared by all
    for panel in panels[:, 0]:
        panel.set_ylabel("top-1 error (%)")
    errors = np.concatenate([curve.points[:, 1] for curve in curves])
    margin = max(0.5, 0.04 * np.ptp(errors))
    panels[0, 0].set_ylim(
        *(options.ylim or (max(0.0, errors.min() - margin), min(101.0, errors.max() + margin)))
    )


def _draw_panel(
    panel: Axes,
    title: str,
    curves: Sequence[Curve],
    colors: dict[float, Any],
    variants: Sequence[str],
    look: Look,
) -> None:
    shared = any(curve.shared for curve in curves)
    panel.set_title(f"{title}\n(sees no batch)" if shared else title, fontsize=look.points(9))
    # large batches first: the small ones, which the figure is about, lie on top; diverged runs on top of all
    ordered = sorted(curves, key=lambda curve: (curve.diverged, -curve.x))
    rgba = [GRAY if curve.shared else colors[curve.x] for curve in ordered]
    many = len(curves) > RASTERIZE_ABOVE
    width = look.points(0.4 if many else 0.9)
    lines = LineCollection(
        [curve.points for curve in ordered],
        colors=rgba,
        linewidths=[2 * width if curve.diverged else width for curve in ordered],
        linestyles=[VARIANT_LINES[variants.index(curve.variant) % len(VARIANT_LINES)] for curve in ordered],
        rasterized=many,
    )
    panel.add_collection(lines)
    _mark_ends(panel, ordered, rgba, look, many)
    panel.autoscale_view(scaley=False)


def _mark_ends(
    panel: Axes, curves: Sequence[Curve], colors: Sequence[Any], look: Look, rasterized: bool
) -> None:
    """A cross where a run diverged, a dot for a line of one point, which is invisible."""
    for marker, size, marked in (
        ("x", 34.0, [curve.diverged for curve in curves]),
        (".", 18.0, [len(curve.points) == 1 and not curve.diverged for curve in curves]),
    ):
        ends = [
            (*curve.points[-1], color)
            for curve, color, is_so in zip(curves, colors, marked, strict=True)
            if is_so
        ]
        if ends:
            x, y, color = zip(*ends, strict=True)
            panel.scatter(
                x, y, s=size * look.scale**2, c=list(color), marker=marker, zorder=3, rasterized=rasterized
            )


def _label_sizes(
    panel: Axes, curves: Sequence[Curve], colors: dict[float, Any], height: float, look: Look
) -> None:
    """The batch size at the end of its lines, which is what the colours mean."""
    ends = []
    for x, color in colors.items():
        last = [curve.points[-1, 1] for curve in curves if curve.x == x and not curve.shared]
        if last:
            ends.append(End(f"{x:g}", color, None, float(np.mean(last))))
    size = min(look.points(7), 72 * height / max(1, len(ends)) / 1.18)
    if size >= look.points(4):
        label_ends(panel, ends, size=size, height=height, leaders=False)
