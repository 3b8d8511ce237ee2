"""The figure of claim 6.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnrepro.analysis.style import norm_styles
from bnrepro.claims import recurrent
from bnrepro.claims.claim import Tables
from bnrepro.claims.figures import Panel, panels
from bnrepro.claims.intervals import of_mean
from bnrepro.claims.recurrent import BLANK_STEPS, WAYS, norm_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = {8: "o", 16: "s", 64: "^"}
SHAPES = {"per step, precise": ("-", "o"), "batch's own": (":", "v"), "pooled": ("--", "s")}
"""Line and marker of batch norm's ways."""
APART = 0.22
ROOM = 1.7
"""For the legend above the curves."""


def draw(tables: Tables) -> Figure:
    drawn = [lambda panel: _errors(panel, tables)]
    for steps in recurrent.lengths(tables)[-2:]:
        drawn.append(lambda panel, steps=steps: _after_blank_steps(panel, tables, steps))  # type: ignore[misc]
    return panels(drawn, "LSTMs on digits: the same weights under other statistics, and after blank steps")


def _label(way: str) -> str:
    return f"BN {way}" if norm_of(WAYS[way][0]) == "bn" else way


def _errors(panel: Panel, tables: Tables) -> None:
    lengths = recurrent.lengths(tables)
    for place, steps in enumerate(lengths):
        for x, way in enumerate(WAYS):
            error = of_mean(list(recurrent.errors(tables, steps, way).values()))
            panel.ax.errorbar(
                x + APART * (place - (len(lengths) - 1) / 2),
                error.mean,
                [[error.mean - max(error.low, 0.0)], [error.high - error.mean]],
                color=norm_styles(["bn", "none", "ln"])[norm_of(WAYS[way][0])].color,
                marker=MARKERS[steps],
                label=f"{steps} time steps" if x == 0 else None,
            )
    panel.log_y()
    panel.ax.set_xticks(range(len(WAYS)), labels=list(map(_label, WAYS)), rotation=45, ha="right")
    panel.ax.set_ylabel("test error (%)")


def _after_blank_steps(panel: Panel, tables: Tables, steps: int) -> None:
    largest = 0.0
    for way in ("no norm", "layer norm", *SHAPES):
        style = norm_styles(["bn", "none", "ln"])[norm_of(WAYS[way][0])]
        line, marker = SHAPES.get(way, (style.line, style.marker))
        by_seed = recurrent.blank_step_costs(tables, steps, way).values()
        means = [of_mean(costs).mean for costs in zip(*by_seed, strict=True)]
        largest = max(largest, *means)
        shape = {"color": style.color, "linestyle": line, "marker": marker, "markersize": 4}
        panel.ax.plot(BLANK_STEPS, means, label=_label(way), linewidth=1.1, **shape)
    panel.ax.set_ylim(top=ROOM * largest)
    panel.ax.set_xticks(BLANK_STEPS)
    panel.labels(f"blank steps in front of {steps}", "rise of the error (points)")
