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
LINES = {"per step, precise": "-", "batch's own": ":", "pooled": "--"}
APART = 0.22


def draw(tables: Tables) -> Figure:
    lengths = recurrent.lengths(tables)

    def after_blank_steps(panel: Panel, steps: int) -> None:
        for way in ("no norm", "layer norm", *LINES):
            style = norm_styles([norm_of(WAYS[way][0])])[norm_of(WAYS[way][0])]
            by_seed = recurrent.blank_step_costs(tables, steps, way).values()
            means = [of_mean(costs).mean for costs in zip(*by_seed, strict=True)]
            panel.ax.plot(
                BLANK_STEPS,
                means,
                color=style.color,
                marker=style.marker,
                linestyle=LINES.get(way, style.line),
                label=f"batch norm, {way}" if way in LINES else way,
            )
        panel.ax.set_xticks(BLANK_STEPS)
        panel.labels(f"blank steps in front of {steps}", "rise of the error (points)")

    blank = [lambda panel, steps=steps: after_blank_steps(panel, steps) for steps in lengths[-2:]]
    return panels(
        [lambda panel: _errors(panel, tables), *blank],
        "LSTMs on digits: the same weights under other statistics, and after blank steps",
    )


def _errors(panel: Panel, tables: Tables) -> None:
    for place, steps in enumerate(recurrent.lengths(tables)):
        for x, way in enumerate(WAYS):
            norm = norm_of(WAYS[way][0])
            error = of_mean(list(recurrent.errors(tables, steps, way).values()))
            panel.ax.errorbar(
                x + APART * (place - 1),
                error.mean,
                [[error.mean - max(error.low, 0.0)], [error.high - error.mean]],
                color=norm_styles([norm])[norm].color,
                marker=MARKERS[steps],
                label=f"{steps} time steps" if x == 0 else None,
            )
    panel.log_y()
    panel.ax.set_xticks(range(len(WAYS)), labels=list(WAYS), rotation=45, ha="right")
    panel.ax.set_ylabel("test error (%)")
