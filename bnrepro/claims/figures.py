"""What the claims' figures have in common: panels side by side, a norm's colour, a caption."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bnrepro.analysis.style import RC, norm_styles
from bnrepro.config.labels import norm_label, packaged_label

PANEL_WIDTH, HEIGHT = 4.4, 3.8  # inches
MOST_TICKS = 7
LEAST = 1e-17


@dataclass(frozen=True)
class Panel:
    """One panel, which knows the norms' colours."""

    ax: Axes

    def line(
        self, norm: str, x: Sequence[float], y: Sequence[float], *, label: str | None = None, **shape: Any
    ) -> None:
        """A thin line in the norm's colour; with a label it is in the legend."""
        style = norm_styles([norm])[norm]
        known = {"color": style.color, "linestyle": style.line, "linewidth": 1.1, **shape}
        self.ax.plot(x, y, label=label, **known)

    def octaves(self, values: Sequence[float]) -> None:
        """A logarithmic x axis with ticks at powers of 2, as many as have room."""
        self.ax.set_xscale("log", base=2)
        self.ax.minorticks_off()
        ticks = values[:: math.ceil(len(values) / MOST_TICKS)]
        self.ax.set_xticks(ticks, labels=[power_of_2(value) for value in ticks])

    def log_y(self) -> None:
        """A logarithmic y axis in plain numbers."""
        self.ax.set_yscale("log")
        self.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        self.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        self.ax.yaxis.set_minor_formatter(NullFormatter())

    def tiny_bars(self, values: Mapping[str, float], right: float) -> None:
        """Bars by name on a logarithmic axis from 1e-17 to `right`; a 0 is said in words."""
        self.ax.barh(list(values), [max(value, LEAST) for value in values.values()], color="#0072B2")
        for place, value in enumerate(values.values()):
            if value == 0:
                self.ax.annotate("0: equal bit for bit", (2 * LEAST, place), va="center", fontsize=8)
        self.ax.set_xscale("log")
        self.ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
        self.ax.set_xlim(LEAST, right)

    def labels(self, x: str, y: str) -> None:
        self.ax.set_xlabel(x)
        self.ax.set_ylabel(y)


def panels(drawn: Sequence[Callable[[Panel], None]], title: str) -> Figure:
    """A panel for each of `drawn`, and one title."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(PANEL_WIDTH * len(drawn), HEIGHT), layout="constrained")
        for ax, draw in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
            draw(Panel(ax))
            if ax.get_legend_handles_labels()[0]:
                ax.legend()
        figure.suptitle(title, fontsize=10)
    return figure


def reader_name(norm: str) -> str:
    """`Batch norm`, `No norm`."""
    return {"none": "No norm"}.get(norm) or norm_label(packaged_label(norm), norm, {})


def power_of_2(value: float) -> str:
    """`8`, `1/64`."""
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"
