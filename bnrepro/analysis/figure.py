"""The figure: error against batch size."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnrepro.analysis.reference import Reference
from bnrepro.analysis.series import Series
from bnrepro.analysis.style import RC, STATISTICS_FILLS, STATISTICS_LINES, Style, norm_styles

X_ORDERS = ("large-to-small", "small-to-large")
"""Wu & He's Fig. 1 runs from 32 down to 2."""
WIDTH, HEIGHT = 7.4, 4.6  # inches
STRIP_ROW = 0.17  # inches for each norm with diverged runs
LEGEND_ROW = 0.19  # inches
CAPTION_SIZE, CAPTION_ROW, CAPTION_CHARACTERS = 7.5, 0.145, 16.8  # points, inches, per inch
DODGE = 0.22  # octaves that the error bars at one batch size are spread over
MOST_TICKS = 14


def draw_figure(
    series: Sequence[Series], *, caption: str, reference: Reference | None = None, x_order: str = X_ORDERS[0]
) -> Figure:
    """Error in percent against batch size, one line per series; diverged runs in a strip at the top."""
    styles = norm_styles(list(dict.fromkeys(line.norm for line in series)))
    diverged = _diverged(series)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(WIDTH, HEIGHT + STRIP_ROW * len(diverged)), layout="constrained")
        axes = _main_axes(figure, diverged, styles)
        handles = _draw_lines(axes, series, styles)
        if reference is not None:
            handles += _draw_reference(axes, reference, styles)
        _set_x_axis(axes, _batch_sizes(series, reference, styles), x_order, bool(diverged))
        axes.set_ylim(*_y_limits(series, reference, styles))
        axes.set_ylabel("top-1 error (%)")
        figure.legend(handles=handles, loc="outside right upper", handlelength=3.2)
        rows = add_caption(figure, caption)
        # the legend must end above the caption, however many lines there are
        needed = LEGEND_ROW * (len(handles) + 2) + CAPTION_ROW * rows
        figure.set_figheight(max(figure.get_figheight(), needed))
    return figure


def add_caption(figure: Figure, caption: str) -> int:
    """Put text under the axes, as wide as the figure; returns its number of lines."""
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * CAPTION_CHARACTERS))
    figure.supxlabel(
        "\n".join(lines), x=0.012, ha="left", fontsize=CAPTION_SIZE, color="#333333", linespacing=1.35
    )
    return len(lines)


def _main_axes(figure: Figure, diverged: Mapping[str, Series], styles: Mapping[str, Style]) -> Axes:
    if not diverged:
        return figure.subplots()
    strip, main = figure.subplots(
        2, 1, sharex=True, height_ratios=[STRIP_ROW * len(diverged), HEIGHT - 1.2]
    ).tolist()
    strip.set_title("diverged runs", loc="left", fontsize=8, pad=3)
    strip.set_facecolor("#F3F3F3")
    strip.set_ylim(len(diverged) - 0.5, -0.5)
    strip.set_yticks([])
    strip.grid(False)
    strip.tick_params(bottom=False, labelbottom=False)
    for spine in strip.spines.values():
        spine.set_visible(False)
    for place, (norm, line) in enumerate(diverged.items()):
        rows = line.rows[line.rows["n_diverged"] > 0]
        # a shared cell was trained once: one mark, not one at each size
        for row in rows.tail(1 if line.shared else len(rows)).itertuples():
            _mark_diverged(strip, (row.batch_size, place), f"{row.n_diverged} of {row.n}", styles[norm])
    return main


def _mark_diverged(strip: Axes, at: tuple[float, float], note: str, style: Style) -> None:
    strip.plot(
        *([value] for value in at), marker=style.marker, color=style.color, fillstyle="none", linestyle=""
    )
    strip.annotate(note, at, xytext=(5, 0), textcoords="offset points", va="center", fontsize=7)


def _diverged(series: Sequence[Series]) -> dict[str, Series]:
    """The norms with diverged runs. A run diverges in training: each of its statistics has it."""
    norms: dict[str, Series] = {}
    for line in series:
        if line.rows["n_diverged"].any():
            norms.setdefault(line.norm, line)
    return norms


def _drawn(line: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high; NaN where every run diverged, which has nothing to show but chance."""
    columns = line.rows[["mean", "low", "high"]].to_numpy(dtype=float).T
    hidden = (line.rows["n_diverged"] == line.rows["n"]).to_numpy(dtype=bool)
    mean, low, high = np.where(hidden, np.nan, columns)
    return mean, low, high


def _draw_lines(axes: Axes, series: Sequence[Series], styles: Mapping[str, Style]) -> list[Line2D]:
    """Draw all, and return what the legend shows."""
    handles: list[Line2D] = []
    shared = 0
    for line, dodge in zip(series, _dodges(series), strict=True):
        shape = _shape(line, styles[line.norm])
        if line.shared:
            _draw_shared(axes, line, shape, shared)
            shared += 1
        else:
            _draw_line(axes, line, shape, dodge)
        handles.append(Line2D([], [], label=line.label, **shape))
    return handles


def _shape(line: Series, style: Style) -> dict[str, Any]:
    """With statistics to tell apart, these have the line and the filling; else the norm has its own line."""
    shape: dict[str, Any] = {"color": style.color, "marker": style.marker, "linestyle": style.line}
    if line.statistics is not None:
        shape["linestyle"] = STATISTICS_LINES[line.statistics]
        shape |= STATISTICS_FILLS[line.statistics]
        shape["linewidth"] = 1.6 if line.statistics == "running" else 1.1
    return shape


def _dodges(series: Sequence[Series]) -> list[float]:
    """Octaves that each line is moved by, so that error bars at one batch size do not cover each other."""
    bars = [not line.shared and bool(line.rows["low"].notna().any()) for line in series]
    if sum(bars) < 2:
        return [0.0] * len(series)
    places = np.cumsum([not line.shared for line in series])
    return list((places / (places[-1] + 1) - 0.5) * DODGE)


def _draw_line(axes: Axes, line: Series, shape: Mapping[str, Any], dodge: float) -> None:
    mean, low, high = _drawn(line)
    x = line.rows["batch_size"].to_numpy(dtype=float) * 2.0**dodge
    known = np.isfinite(low)
    axes.vlines(x[known], low[known], high[known], color=shape["color"], linewidth=1.1)
    for ends in (low, high):
        axes.plot(x[known], ends[known], color=shape["color"], marker="_", markersize=5, linestyle="")
    axes.plot(x, mean, zorder=3, **shape)


def _draw_shared(axes: Axes, line: Series, shape: Mapping[str, Any], place: int) -> None:
    """A norm that sees no batch was trained once for all batch sizes: a horizontal line, and a band."""
    mean, low, high = (values[0] for values in _drawn(line))
    inset = 0.02 + 0.04 * (place % 10)  # so that the marks of lines that lie close stand side by side
    x = [0, inset, 1 - inset, 1]
    axes.plot(x, [mean] * 4, transform=axes.get_yaxis_transform(), markevery=[1, 2], **shape)
    if np.isfinite(low):
        axes.axhspan(low, high, color=shape["color"], alpha=0.13, linewidth=0)


def _draw_reference(axes: Axes, reference: Reference, styles: Mapping[str, Style]) -> list[Line2D]:
    """Published points of the norms that we have too, faint: thin lines and open marks."""
    title = reference.label.replace(", ", ",\n", 1)  # the legend is narrow
    handles = [Line2D([], [], linestyle="", label=title)]
    for norm in styles:
        points = sorted((point.batch_size, point.error) for point in reference.points if point.norm == norm)
        if points:
            style = styles[norm]
            shape: dict[str, Any] = {
                "color": style.color,
                "marker": style.marker,
                "linestyle": style.line,
                "linewidth": 0.9,
                "markersize": 5,
                "markerfacecolor": "white",
                "alpha": 0.5,
            }
            axes.plot(*zip(*points, strict=True), zorder=2, **shape)
            handles.append(Line2D([], [], label=norm, **shape))
    return handles


def _reference_points(reference: Reference | None, norms: Collection[str]) -> list[tuple[int, float]]:
    points = reference.points if reference else ()
    return [(point.batch_size, point.error) for point in points if point.norm in norms]


def _batch_sizes(series: Sequence[Series], reference: Reference | None, norms: Collection[str]) -> list[int]:
    sizes = {int(size) for line in series for size in line.rows["batch_size"]}
    return sorted(sizes | {size for size, _ in _reference_points(reference, norms)})


def _set_x_axis(axes: Axes, sizes: Sequence[int], x_order: str, notes: bool) -> None:
    """`notes`: the strip has text to the right of its marks, which needs room."""
    axes.set_xscale("log", base=2)
    axes.minorticks_off()
    if len(sizes) > MOST_TICKS:
        sizes = [2**power for power in range(sizes[-1].bit_length()) if 2**power >= sizes[0]]
    axes.set_xticks(sizes, labels=[str(size) for size in sizes])
    left, right = 2**0.4, 2 ** (0.85 if notes else 0.4)
    if x_order == "large-to-small":
        axes.set_xlim(sizes[-1] * left, sizes[0] / right)
    else:
        axes.set_xlim(sizes[0] / left, sizes[-1] * right)
    axes.set_xlabel("batch_size (images per worker)")


def _y_limits(
    series: Sequence[Series], reference: Reference | None, norms: Collection[str]
) -> tuple[float, float]:
    """All means, and the intervals as far as they leave the means room: with two seeds they are huge."""
    drawn = [_drawn(line) for line in series]
    published = [error for _, error in _reference_points(reference, norms)]
    means = np.concatenate([*(mean for mean, _, _ in drawn), published])
    means = means[np.isfinite(means)]
    if not means.size:
        return 0.0, 100.0
    room = max(2.0, 0.2 * np.ptp(means))
    ends = np.concatenate([np.concatenate(values) for values in drawn] + [means])
    ends = np.clip(ends[np.isfinite(ends)], means.min() - room, means.max() + room)
    margin = max(0.5, 0.05 * np.ptp(ends))
    return max(0.0, ends.min() - margin), min(100.0, ends.max() + margin)
