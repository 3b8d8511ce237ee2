"""The figure: error against batch size, or against whatever the sweep goes over."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from bnrepro.analysis.ends import LINE_HEIGHT, End, label_ends
from bnrepro.analysis.fonts import cover
from bnrepro.analysis.lines import draw_lines, interval_of, shape_of, variant_line
from bnrepro.analysis.names import Names
from bnrepro.analysis.placing import X_ORDERS, set_x_axis
from bnrepro.analysis.reference import Reference
from bnrepro.analysis.series import Series
from bnrepro.analysis.strip import ROW, draw_strip, strip_rows
from bnrepro.analysis.style import FAINT, GRAY, LOOKS, Look, Style, drawing, norm_styles
from bnrepro.analysis.x_axis import BATCH_SIZE, XAxis

MOST_IN_LEGEND = 6
LEGEND_ROW = 0.19  # inches
CAPTION_SIZE, CAPTION_ROW, CAPTION_CHARACTERS = 7.5, 0.145, 16.8  # points, inches, per inch
Points = list[tuple[float, float]]
NARROW = 6.0
"""Inches of width below which a legend beside the axes would take too much of it."""
AROUND = 0.75  # inches that tick labels and the axis's label take of the height


@dataclass(frozen=True)
class Options:
    """How a figure is to look; what is None follows from the results."""

    style: str = "paper"
    size: tuple[float, float] | None = None
    """Width and height of the whole figure in inches."""
    ylim: tuple[float, float] | None = None
    """Percent."""
    title: str | None = None
    caption: bool = True
    x_order: str | None = None

    """One of `X_ORDERS`; None: batch sizes from large to small, everything else rising."""

    @property
    def look(self) -> Look:
        return LOOKS[self.style]


DEFAULT = Options()


def in_legend(series: Sequence[Series]) -> bool:
    """Do the lines stand in a legend? More are labelled at their ends."""
    return sum(line.drawn for line in series) <= MOST_IN_LEGEND


def draw_figure(
    series: Sequence[Series],
    *,
    axis: XAxis,
    names: Names,
    caption: str = "",
    options: Options = DEFAULT,
    reference: Reference | None = None,
    chance: float | None = None,
) -> Figure:
    """Error in percent against `axis`, one line per series; what diverged or failed in a strip above."""
    look = options.look
    styles = norm_styles(list(dict.fromkeys(line.norm for line in series)))
    variants = list(dict.fromkeys(line.variant for line in series))
    lines = [line for line in series if line.drawn]
    shapes = [shape_of(line, styles[line.norm], variants, look) for line in lines]
    rows = strip_rows(series)
    published = _published(reference, styles) if axis.key == BATCH_SIZE else {}
    with drawing(look):
        figure = _new_figure(options, len(rows))
        text = add_caption(figure, caption, look) if options.caption and caption else 0.0
        height = max(1.0, figure.get_figheight() - text - look.scale * (AROUND + ROW * len(rows)))
        strip, axes = _axes(figure, len(rows), height, look)
        _set_axes(axes, series, published, axis, options)
        if chance is not None:
            _draw_chance(axes, chance, look)
        draw_lines(axes, lines, shapes, sorted({float(x) for line in series for x in line.x}), look)
        _draw_published(axes, published, styles, look)
        if strip is not None:
            draw_strip(strip, rows, styles, look)
        if options.title:
            (strip or axes).set_title(options.title, loc="left", fontsize=look.points(11))
        if in_legend(lines):
            handles = _handles(lines, shapes, variants)
            if reference is not None:
                handles += _published_handles(published, reference, styles, names, look)
            _add_legend(figure, handles, look)
            needed = LEGEND_ROW * look.scale * (len(handles) + 2) + text
        else:
            size = look.points(8)
            ends = [_end(line, shape["color"], axes) for line, shape in zip(lines, shapes, strict=True)]
            label_ends(axes, ends, size=size, height=height)
            needed = len(ends) * size * LINE_HEIGHT / 72 + figure.get_figheight() - height
        if options.size is None:  # a long legend must end above the caption
            figure.set_figheight(max(figure.get_figheight(), needed))
        finish(figure, look)
    return figure


def add_caption(figure: Figure, caption: str, look: Look) -> float:
    """Put text under the axes, as wide as the figure; returns its height in inches."""
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * CAPTION_CHARACTERS / look.scale))
    figure.supxlabel(
        "\n".join(lines),
        x=0.012,
        ha="left",
        fontsize=look.points(CAPTION_SIZE),
        color="#333333",
        linespacing=1.35,
    )
    return CAPTION_ROW * look.scale * len(lines)


def finish(figure: Figure, look: Look) -> None:
    """What is decided when a figure is drawn, decided now and once: it is drawn for every format."""
    for axes in figure.axes:
        axes.tick_params(labelsize=look.points(9))
    cover(figure)
    ConstrainedLayoutEngine().execute(figure)


def _new_figure(options: Options, strip_rows: int) -> Figure:
    look = options.look
    size = options.size or (look.width, look.height + ROW * look.scale * strip_rows)
    return Figure(figsize=size)


def _axes(figure: Figure, rows: int, height: float, look: Look) -> tuple[Axes | None, Axes]:
    """The strip, where there is something to show in it, and the main axes of that `height` in inches."""
    if not rows:
        return None, figure.subplots()
    above, below = figure.subplots(
        2, 1, sharex=True, height_ratios=[ROW * look.scale * rows, height]
    ).tolist()
    return above, below


def _add_legend(figure: Figure, handles: Sequence[Line2D], look: Look) -> None:
    """Beside the axes, or above them where the figure is narrow."""
    if figure.get_figwidth() < NARROW * look.scale:
        figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=2.6)
    else:
        figure.legend(handles=handles, loc="outside right upper", handlelength=3.2)


def _set_axes(
    axes: Axes, series: Sequence[Series], published: Mapping[str, Points], axis: XAxis, options: Options
) -> None:
    points = [point for norm in published.values() for point in norm]
    order = options.x_order or X_ORDERS[axis.key != BATCH_SIZE]
    set_x_axis(axes, axis, [*(float(x) for line in series for x in line.x), *(x for x, _ in points)], order)
    axes.set_ylim(*(options.ylim or _y_limits(series, [error for _, error in points])))
    axes.set_ylabel("top-1 error (%)")


def _y_limits(series: Sequence[Series], published: Sequence[float]) -> tuple[float, float]:
    """All means and seeds, and intervals as far as they leave these room: of few seeds they are huge."""
    marks = np.concatenate(
        [*(line.mean for line in series), *(line.seeds[:, 1] for line in series), published]
    )
    marks = marks[np.isfinite(marks)]
    if not marks.size:
        return 0.0, 100.0
    room = max(2.0, 0.2 * np.ptp(marks))
    ends = np.concatenate([*(end for line in series for end in interval_of(line)), marks])
    ends = np.clip(ends[np.isfinite(ends)], marks.min() - room, marks.max() + room)
    margin = max(0.5, 0.05 * np.ptp(ends))
    return max(0.0, ends.min() - margin), min(100.0, ends.max() + margin)


def _draw_chance(axes: Axes, chance: float, look: Look) -> None:
    """A faint line at the error of guessing, where the axes reach it."""
    bottom, top = axes.get_ylim()
    if bottom < chance < top:
        axes.axhline(chance, color=FAINT, linewidth=look.points(0.8), linestyle=(0, (2, 3)), zorder=1.5)
        axes.annotate(
            "chance",
            (0.0, chance),
            xycoords=("axes fraction", "data"),
            xytext=(look.points(3), look.points(2)),
            textcoords="offset points",
            color=FAINT,
            fontsize=look.points(7.5),
        )


def _handles(
    lines: Sequence[Series], shapes: Sequence[Mapping[str, Any]], variants: Sequence[str | None]
) -> list[Line2D]:
    """A handle per line; where sweeps differ in a key, one per norm and one per value of the key."""
    if variants == [None]:
        return [Line2D([], [], label=line.label, **shape) for line, shape in zip(lines, shapes, strict=True)]
    norms: dict[str, Line2D] = {}
    for line, shape in zip(lines, shapes, strict=True):
        label = ", ".join(filter(None, (line.name, line.statistics)))
        norms.setdefault(label, Line2D([], [], label=label, **{**shape, "linestyle": "-"}))
    return [
        *norms.values(),
        *(
            Line2D([], [], label=variant, color=GRAY, **variant_line(place))
            for place, variant in enumerate(variants)
        ),
    ]


def _end(line: Series, color: str, axes: Axes) -> End:
    """The end of a line on the right side of the axes."""
    known = np.flatnonzero(np.isfinite(line.mean))
    if not len(known):  # every run diverged
        return End(line.label, color, None, axes.get_ylim()[1])
    if line.shared or len(line.x) == 1:  # where all stand at one x, beside it: a long leader would miss them
        return End(line.label, color, None, float(line.mean[known[0]]))
    last = known[0] if axes.xaxis_inverted() else known[-1]
    return End(line.label, color, float(line.x[last]), float(line.mean[last]))


def _published(reference: Reference | None, norms: Collection[str]) -> dict[str, Points]:
    """The published (x, error) of the norms that we have too."""
    points: dict[str, Points] = {}
    for point in sorted(reference.points if reference else (), key=lambda point: point.batch_size):
        if point.norm in norms:
            points.setdefault(point.norm, []).append((float(point.batch_size), point.error))
    return {norm: points[norm] for norm in norms if norm in points}


def _published_shape(style: Style, look: Look) -> dict[str, Any]:
    """Faint: a thin line and open marks."""
    return {
        "color": style.color,
        "marker": style.marker,
        "linestyle": style.line,
        "linewidth": look.points(0.9),
        "markersize": look.points(5),
        "markerfacecolor": "white",
        "alpha": 0.5,
    }


def _draw_published(
    axes: Axes, published: Mapping[str, Points], styles: Mapping[str, Style], look: Look
) -> None:
    for norm, points in published.items():
        axes.plot(*zip(*points, strict=True), zorder=2, **_published_shape(styles[norm], look))


def _published_handles(
    published: Mapping[str, Points],
    reference: Reference,
    styles: Mapping[str, Style],
    names: Names,
    look: Look,
) -> list[Line2D]:
    title = reference.label.replace(", ", ",\n", 1)  # the legend is narrow
    return [
        Line2D([], [], linestyle="", label=title),
        *(Line2D([], [], label=names(norm), **_published_shape(styles[norm], look)) for norm in published),
    ]
