"""The lines of the figure: means, intervals, single seeds; horizontal where a norm was trained once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.markers import CARETDOWNBASE, CARETUPBASE
from matplotlib.transforms import ScaledTranslation, Transform

from bnrepro.analysis.caption import LEAST_FOR_INTERVAL
from bnrepro.analysis.series import Series
from bnrepro.analysis.style import STATISTICS_FILLS, STATISTICS_LINES, VARIANT_LINES, Look, Style

DODGE = 9.0
"""Points that the lines at one x are spread over, so that their bars do not cover each other."""
ALONE, WIDEST = 20.0, 240.0
"""Points for each line where all of them stand at one x and have the width to themselves, and of all."""
BESIDE = 5.0
"""Points from a mean to its single seeds, so that the mark does not cover them."""
SEED: dict[str, Any] = {"marker": ".", "linestyle": "", "alpha": 0.55, "markeredgewidth": 0, "zorder": 2.2}


def shape_of(line: Series, style: Style, variants: Sequence[str | None], look: Look) -> dict[str, Any]:
    """Colour and mark are the norm's; its line, too, unless lines tell variants or statistics apart."""
    shape: dict[str, Any] = {"color": style.color, "marker": style.marker, "linestyle": style.line}
    if line.statistics is not None:
        shape |= {"linestyle": STATISTICS_LINES[line.statistics], **STATISTICS_FILLS[line.statistics]}
        shape["linewidth"] = look.points(1.6 if line.statistics == "running" else 1.1)
    if line.variant is not None:
        shape |= variant_line(variants.index(line.variant))
    return shape


def variant_line(place: int) -> dict[str, Any]:
    """How the lines of a figure's sweeps differ; `place` is the sweep's."""
    return {"linestyle": VARIANT_LINES[place % len(VARIANT_LINES)]}


def draw_lines(
    axes: Axes,
    series: Sequence[Series],
    shapes: Sequence[Mapping[str, Any]],
    ticks: Sequence[float],
    look: Look,
) -> None:
    """Draw every line. The axes' limits must be final: what leaves the frame ends in an arrow."""
    shared = 0
    for line, shape, dodge in zip(series, shapes, _dodges(series), strict=True):
        if line.shared:
            _draw_shared(axes, line, shape, ticks, shared, look)
            shared += 1
        else:
            _draw_line(axes, line, shape, dodge * look.scale, look)


def interval_of(line: Series) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the bars that are drawn, NaN where there is none: below 3 seeds they say nothing."""
    enough = line.n >= LEAST_FOR_INTERVAL
    return np.where(enough, line.low, np.nan), np.where(enough, line.high, np.nan)


def _dodges(series: Sequence[Series]) -> np.ndarray:
    """Points to the right for each line."""
    moved = [not line.shared and len(line.seeds) > np.count_nonzero(line.n) for line in series]
    if sum(moved) < 2:
        return np.zeros(len(series))
    places = np.cumsum([not line.shared for line in series])
    values = {float(x) for line in series if not line.shared for x in line.x}
    width = DODGE if len(values) > 1 else min(ALONE * (places[-1] + 1), WIDEST)
    return (places / (places[-1] + 1) - 0.5) * width


def _moved(axes: Axes, points: float) -> Transform:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _draw_line(axes: Axes, line: Series, shape: Mapping[str, Any], dodge: float, look: Look) -> None:
    moved = _moved(axes, dodge)
    axes.plot(line.x, line.mean, transform=moved, zorder=3, **shape)
    _draw_bars(axes, line, shape["color"], moved, look)
    if len(line.seeds) > np.count_nonzero(line.n):  # one seed is its own mean
        x, errors = line.seeds.T
        beside = _moved(axes, dodge + look.points(BESIDE))
        axes.plot(x, errors, transform=beside, color=shape["color"], markersize=look.points(5), **SEED)


def _draw_bars(axes: Axes, line: Series, color: str, moved: Transform, look: Look) -> None:
    low, high = interval_of(line)
    bottom, top = axes.get_ylim()
    known = np.isfinite(low)
    if not known.any():
        return
    x, low, high = line.x[known], low[known], high[known]
    ends = np.maximum(low, bottom), np.minimum(high, top)
    axes.vlines(x, *ends, color=color, linewidth=look.points(1.0), transform=moved)
    for marker, where in (
        ("_", [(x, low, low >= bottom), (x, high, high <= top)]),
        (CARETDOWNBASE, [(x, np.full_like(x, bottom), low < bottom)]),
        (CARETUPBASE, [(x, np.full_like(x, top), high > top)]),
    ):
        points = np.concatenate([np.column_stack([at, y])[chosen] for at, y, chosen in where])
        if len(points):  # an empty line has its extent at 0, 0, which the layout makes room for
            axes.plot(
                *points.T,
                marker=marker,
                markersize=look.points(4.5),
                color=color,
                linestyle="",
                transform=moved,
                clip_on=False,
            )


def _draw_shared(
    axes: Axes, line: Series, shape: Mapping[str, Any], ticks: Sequence[float], place: int, look: Look
) -> None:
    """A norm that sees no batch was trained once for every x: a horizontal line, and a band."""
    mean, (low, high) = line.mean[0], (ends[0] for ends in interval_of(line))
    across = axes.get_yaxis_transform()
    plain = {**shape, "marker": ""}
    axes.plot([0, 1], [mean, mean], transform=across, zorder=2.8, **plain)
    # two marks at ticks, others for each line, so that those of lines that lie close stand apart
    marks = sorted({ticks[place % len(ticks)], ticks[-1 - place % len(ticks)]})
    axes.plot(marks, [mean] * len(marks), zorder=3, **{**shape, "linestyle": ""})
    if np.isfinite(low):
        axes.axhspan(low, high, color=shape["color"], alpha=0.13, linewidth=0)
    elif len(line.seeds):
        errors = np.unique(line.seeds[:, 1])
        if len(errors) > 1:
            seeds = {"color": shape["color"], "markersize": look.points(5), **SEED}
            axes.plot([ticks[0]] * len(errors), errors, **seeds)
