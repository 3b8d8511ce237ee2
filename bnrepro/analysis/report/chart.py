"""What all charts of the page have in common."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from bnrepro.analysis.report.colors import FAINT, GRID, INK, PAPER
from bnrepro.config.errors import printable

DIGITS = 5
"""Of a number in the page: figures need no more, and the file stays small."""


@dataclass(frozen=True)
class Switch:
    """A choice of the reader's: a group of check boxes (or of which one is on), each for some traces."""

    group: str
    """Traces name it in `meta.on`."""
    legend: str
    items: Sequence[SwitchItem]
    one: bool = False
    """Is exactly one on?"""


@dataclass(frozen=True)
class SwitchItem:
    value: str
    label: str
    on: bool = True
    color: str | None = None
    mark: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure of the page. `logarithmic`: the group of the switch that makes its y axis so."""

    name: str
    title: str
    figure: go.Figure
    logarithmic: str | None = None
    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The y axis by the item of a switch that is on, where charts are to be compared."""

    def as_json(self) -> dict[str, Any]:
        figure = json.loads(self.figure.to_json())
        layout = {key: value for key, value in figure["layout"].items() if key != "template"}
        return {
            "data": figure["data"],
            "layout": layout,
            "logarithmic": self.logarithmic,
            "ranges": dict(self.ranges),
        }


def new_figure(*, x: str, y: str, height: int, **layout: Any) -> go.Figure:
    """An empty figure with axes of these titles."""
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return go.Figure(
        layout={
            "template": "none",
            "autosize": True,
            "height": height,
            "margin": {"l": 48, "r": 12, "t": 12, "b": 44},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": INK, "family": "system-ui, sans-serif", "size": 12},
            "hovermode": "closest",
            "hoverlabel": {"bgcolor": PAPER, "bordercolor": FAINT, "font": {"color": INK}, "align": "left"},
            "showlegend": False,
            "xaxis": {**axis, "title": {"text": text(x), "standoff": 8}},
            "yaxis": {**axis, "title": {"text": text(y), "standoff": 8}},
            **layout,
        }
    )


def text(value: object) -> str:
    """Text of a user's for a chart, which takes some HTML for more than text."""
    return html.escape(printable(str(value)))


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Short ones; None where there is none."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in map(float, values)]
