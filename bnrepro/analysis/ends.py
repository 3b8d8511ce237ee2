"""Labels at the lines' ends, in the place of a legend that is too long to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from bnrepro.analysis.placing import spread

LINE_HEIGHT = 1.18
"""Of a label, in units of its font's size."""


class End(NamedTuple):
    """Where a line ends, and what it is called."""

    text: str
    color: Any
    x: float | None
    """None: at the right edge of the axes."""
    y: float


def label_ends(axes: Axes, ends: Sequence[End], *, size: float, height: float, leaders: bool = True) -> None:
    """Write the labels to the right of the axes, as near to the ends as they find room.

    `size`: of the font, in points; `height`: of the axes, in inches. The y limits must be final.
    """
    bottom, top = axes.get_ylim()
    unit = (top - bottom) / (72 * height)  # percent per point
    gap = LINE_HEIGHT * size * unit
    inside = [min(max(end.y, bottom), top) for end in ends]
    places = spread(inside, gap, bottom, top)
    for end, y, place in zip(ends, inside, places, strict=True):
        if leaders:
            start: tuple[float, float] = (1.0, y) if end.x is None else (end.x, y)
            axes.annotate(
                "",
                xy=start,
                xycoords=("axes fraction" if end.x is None else "data", "data"),
                xytext=(1.03, place),
                textcoords=("axes fraction", "data"),
                arrowprops={"arrowstyle": "-", "color": end.color, "linewidth": size / 14, "alpha": 0.6},
                annotation_clip=False,
            )
        axes.annotate(
            end.text,
            (1.035 if leaders else 1.01, place),
            xycoords=("axes fraction", "data"),
            color=end.color,
            fontsize=size,
            va="center",
            annotation_clip=False,
        )
