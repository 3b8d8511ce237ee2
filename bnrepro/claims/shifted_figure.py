"""The figure of claim 1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bnrepro.analysis.style import GRAY, norm_styles
from bnrepro.claims.claim import Tables
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.shifted import NETS, NORMS, SEEDS, Net, drifts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE = 0.1
"""The one in the middle is drawn."""
SAME = 0.1


def draw(tables: Tables) -> Figure:
    drawn = [partial(kind, tables[net.experiment], net) for kind in (_drift, _gradient_shift) for net in NETS]
    return panels(drawn, f"Rate {RATE:g}; mean of {SEEDS} seeds. Gray: {SAME:g} sd, the bound of “the same”")


def _drift(found: Found, net: Net, panel: Panel) -> None:
    """Of what enters the last activation, step by step; for batch norm also of what enters it."""
    first = net == NETS[0]  # its legend is that of all panels
    for norm in NORMS:
        label = reader_name(norm) if first else None
        panel.line(norm, *_mean_drift(found, norm, "activations"), label=label)
    label = "What enters batch norm" if first else None
    panel.line("bn", *_mean_drift(found, "bn", "norms"), label=label, linestyle=":")
    panel.ax.axhline(SAME, color=GRAY, linewidth=0.8)
    panel.log_y()
    panel.ax.set_title(net.label, fontsize=9)
    panel.labels("training steps", "drift of the last activation's\ninputs since step 0 (sd)")


def _mean_drift(found: Found, norm: str, place: str) -> tuple[list[int], list[float]]:
    runs = [found.probes(norm, RATE, seed) for seed in found.seeds()]
    lines = [at for at in zip(*runs, strict=True) if at[0]["step"]]
    means = [float(np.mean([drifts(line, place)[-1] for line in at])) for at in lines]
    return [at[0]["step"] for at in lines], means


def _gradient_shift(found: Found, net: Net, panel: Panel) -> None:
    """The relative l2 of every layer with a layer below it: geometric means."""
    for norm in NORMS:
        style = norm_styles([norm])[norm]
        steps, means = _mean_shift(found, norm)
        panel.line(norm, steps, means, marker=style.marker, markersize=3)
    panel.log_y()
    panel.ax.set_title(net.label, fontsize=9)
    panel.labels("training steps", "relative change of a gradient\nby the step of the layers below")


def _mean_shift(found: Found, norm: str) -> tuple[Sequence[int], Sequence[float]]:
    runs = [found.probes(norm, RATE, seed) for seed in found.seeds()]
    lines = [at for at in zip(*runs, strict=True) if at[0]["shift"]]
    values = [
        [layer["relative_l2"] for line in at for layer in line["shift"].values() if layer["relative_l2"]]
        for at in lines
    ]
    return [at[0]["step"] for at in lines], [float(np.exp(np.mean(np.log(each)))) for each in values]
