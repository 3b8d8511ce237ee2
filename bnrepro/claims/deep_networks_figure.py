"""The figure of claim 2."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from matplotlib.ticker import LogLocator

from bnrepro.analysis.style import GRAY, norm_styles
from bnrepro.claims.affine_arms import AFFINE, ARMS, BIAS, FIXED, LINEAR, NO_AFFINE, WEIGHT, errors, fixed
from bnrepro.claims.claim import Tables
from bnrepro.claims.deep_networks import (
    DEEP,
    NETWORKS,
    Network,
    hidden_gradients,
    looks,
    measured,
)
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.intervals import of_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = {"sigmoid, Xavier": "o", "sigmoid, N(0, 1)": "s", "tanh, Xavier": "^", "tanh, N(0, 1)": "D"}
ARM_LABELS = {
    LINEAR: "linear network",
    **{fixed(weight): f"fixed γ = {weight:g}" for weight in FIXED},
    NO_AFFINE: "no affine map (γ = 1)",
    BIAS: "β only",
    WEIGHT: "γ only",
    AFFINE: "γ and β",
}


def draw(tables: Tables) -> Figure:
    return panels(
        [partial(_gradients, tables), partial(_saturation, tables), partial(_arms, tables)],
        "Gradients and saturation before training, errors after it; mean and 95 % interval over seeds",
    )


def _gradients(tables: Tables, panel: Panel) -> None:
    for network in [*(bare.with_norm("bn") for bare in DEEP), *DEEP]:
        before = [hidden_gradients(lines[0]) for lines in looks(tables[network.name], network.norm)]
        means = [sum(layer) / len(layer) for layer in zip(*before, strict=True)]
        relative = [10 ** (mean - means[-1]) for mean in means]
        panel.line(network.norm, range(1, len(means) + 1), relative, marker=MARKERS[network.kind])
    panel.log_y()
    panel.ax.yaxis.set_major_locator(LogLocator())
    panel.labels("hidden layer", "weight gradient / that of the last hidden layer")


def _saturation(tables: Tables, panel: Panel) -> None:
    found = measured(tables)
    for network in NETWORKS:
        one = found[network]
        panel.ax.errorbar(
            [one.saturated.mean],
            [one.error.mean],
            yerr=[[one.error.mean - one.error.low], [one.error.high - one.error.mean]],
            color=_color(network),
            marker=MARKERS[network.kind],
            markersize=4 + network.depth / 2,
            linewidth=1.1,
            alpha=0.8,
        )
    _legend(panel)
    panel.ax.set_ylim(0, 100)
    panel.ax.set_xlim(-3, 100)
    panel.labels("saturated hidden units (%); the larger, the deeper", "test error (%)")


def _arms(tables: Tables, panel: Panel) -> None:
    for y, arm in enumerate(reversed(ARMS)):
        one = of_mean(list(errors(tables, arm).values()))
        color = GRAY if arm == LINEAR else norm_styles(["bn"])["bn"].color
        half = [[one.mean - one.low], [one.high - one.mean]]
        panel.ax.errorbar([one.mean], [y], xerr=half, color=color, marker="o", markersize=4, linewidth=1.1)
    panel.ax.set_yticks(range(len(ARMS)), labels=[ARM_LABELS[arm] for arm in reversed(ARMS)])
    panel.labels("test error (%): is the digit odd?", "")


def _legend(panel: Panel) -> None:
    """Colours are norms, marks are kinds of networks."""
    for norm in ("none", "bn"):
        panel.line(norm, [], [], label=reader_name(norm))
    for kind, marker in MARKERS.items():
        panel.ax.plot([], [], marker=marker, linestyle="", color=GRAY, label=kind)


def _color(network: Network) -> str:
    return norm_styles([network.norm])[network.norm].color
