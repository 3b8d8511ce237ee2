"""Learning curves: error against epoch, one line per cell, a small panel per norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.figure import MOST_TICKS, add_caption
from bnrepro.analysis.style import GRAY, RC
from bnrepro.rundir.record import read_metrics

MOST_COLUMNS = 4
RASTERIZE_ABOVE = 300
"""Lines from which on a panel is a picture inside SVG and PDF, which viewers are slow with otherwise."""
# luminance falls with the batch size, also in grayscale; the light end is left out, white paper hides it
COLORS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, 256)))


@dataclass(frozen=True)
class Curve:
    """One cell's way: top-1 error in percent under running statistics, after epochs."""

    norm: str
    batch_size: int
    shared: bool
    diverged: bool
    points: np.ndarray
    """`(evaluations, 2)`: epoch and error."""


def read_points(file: Path) -> np.ndarray:
    """`(evaluations, 2)` from a metrics.jsonl; empty where there is none."""
    points = [(line["epoch"], line["error"].get("running")) for line in read_metrics(file)]
    known = [(epoch, error) for epoch, error in points if error is not None and math.isfinite(error)]
    return np.array(known, dtype=float).reshape(-1, 2)


def draw_curves(curves: Sequence[Curve], caption: str) -> Figure:
    """A panel per norm, one line per cell, coloured by batch size; crosses end diverged runs."""
    norms = list(dict.fromkeys(curve.norm for curve in curves))
    columns = min(MOST_COLUMNS, len(norms))
    rows = math.ceil(len(norms) / columns)
    sizes = sorted({curve.batch_size for curve in curves if not curve.shared})
    colors = LogNorm(min(sizes) / 2**0.5, max(sizes) * 2**0.5) if sizes else None
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(max(4.5, 2.1 * columns + 1.1), 2.0 * rows + 0.9), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, norm in zip(panels.flat, norms, strict=False):
            _draw_panel(panel, norm, [curve for curve in curves if curve.norm == norm], colors)
        for panel in panels.flat[len(norms) :]:
            panel.set_visible(False)
        for panel in panels.flat[max(0, len(norms) - columns) : len(norms)]:
            panel.set_xlabel("epoch")
            panel.tick_params(labelbottom=True)
        panels[0, 0].xaxis.set_major_locator(MaxNLocator(5, integer=True))  # shared by all
        for panel in panels[:, 0]:
            panel.set_ylabel("top-1 error (%)")
        if colors is not None:
            _add_colorbar(figure, panels, colors, sizes)
        add_caption(figure, caption)
    return figure


def _draw_panel(panel: Axes, norm: str, curves: Sequence[Curve], colors: LogNorm | None) -> None:
    shared = any(curve.shared for curve in curves)
    panel.set_title(f"{norm} (sees no batch)" if shared else norm, fontsize=9)
    # large batches first: the small ones, which the figure is about, lie on top
    ordered = sorted(curves, key=lambda curve: -curve.batch_size)
    # once per size: looking a colour up takes longer than reading the curve
    of_size = {size: COLORS(colors(size)) for size in {c.batch_size for c in curves}} if colors else {}
    rgba = [GRAY if curve.shared else of_size[curve.batch_size] for curve in ordered]
    many = len(curves) > RASTERIZE_ABOVE
    lines = LineCollection(
        [curve.points for curve in ordered], colors=rgba, linewidths=0.4 if many else 0.9, rasterized=many
    )
    panel.add_collection(lines)
    _mark_ends(panel, ordered, rgba, many)
    panel.autoscale_view()


def _mark_ends(panel: Axes, curves: Sequence[Curve], colors: Sequence[Any], rasterized: bool) -> None:
    """A cross where a run diverged, a dot for a line of one point, which is invisible."""
    for marker, size, marked in (
        ("x", 26.0, [curve.diverged for curve in curves]),
        (".", 18.0, [len(curve.points) == 1 and not curve.diverged for curve in curves]),
    ):
        if any(marked):
            x, y = np.array([curve.points[-1] for curve in compress(curves, marked)]).T
            color = list(compress(colors, marked))
            panel.scatter(x, y, s=size, c=color, marker=marker, zorder=3, rasterized=rasterized)


def _add_colorbar(figure: Figure, panels: np.ndarray, colors: LogNorm, sizes: list[int]) -> None:
    bar = figure.colorbar(ScalarMappable(colors, COLORS), ax=panels, label="batch_size", pad=0.015, aspect=28)
    if len(sizes) > MOST_TICKS:
        sizes = [size for size in sizes if size & (size - 1) == 0]
    bar.set_ticks(sizes, labels=[str(size) for size in sizes])
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
