"""The figure of claim 5.2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bnrepro.analysis.style import GRAY, norm_styles
from bnrepro.claims.claim import Tables
from bnrepro.claims.few_images import DROPOUT, GROUPS, LOSS, RATES, SEEDS, at_loss, best_rates
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import of_mean
from bnrepro.sweep.axis import Number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WITHOUT_NOISE = "Batch norm without noise"
LOSSES = (0.1, 0.01, 0.001)
FIRST_LOSS = 0.3
"""Before that, all arms are still learning the same."""


@dataclass(frozen=True)
class _Arm:
    """Runs that differ in nothing but their seed."""

    label: str
    found: Found
    norm: str
    x: Number


def draw(tables: Tables) -> Figure:
    rate = best_rates(tables)["none"]
    drawn = [partial(_over_rates, tables), partial(_on_the_way, tables, rate), partial(_arms, tables, rate)]
    return panels(drawn, f"Test error at equal training loss; {SEEDS} seeds, mean and 95 % interval")


def _over_rates(tables: Tables, panel: Panel) -> None:
    for norm, label, name, shape in _lines():
        found = {rate: list(at_loss(tables[name], norm, rate).values()) for rate in RATES}
        reached = {rate: of_mean(errors) for rate, errors in found.items() if len(errors) == SEEDS}
        if not reached:
            continue
        means = [one.mean for one in reached.values()]
        style = norm_styles([norm])[norm]
        panel.line(norm, list(reached), means, label=label, marker=style.marker, **shape)
        low, high = ([getattr(one, end) for one in reached.values()] for end in ("low", "high"))
        panel.ax.fill_between(list(reached), low, high, color=style.color, alpha=0.12, linewidth=0)
    panel.ax.set_xscale("log")
    panel.ax.minorticks_off()
    panel.ax.set_xticks(RATES, labels=[f"{rate:g}" for rate in RATES])
    panel.labels("learning rate", f"test error (%) at training loss {LOSS:g}")


def _on_the_way(tables: Tables, rate: Number, panel: Panel) -> None:
    """Means over seeds of test error and training loss, step by step."""
    for norm, label, name, shape in _lines():
        found = tables[name]
        runs = [found.probes(norm, rate, seed) for seed in found.seeds()]
        steps = [[line["errors"] for line in lines] for lines in zip(*runs, strict=True)]
        finite = [errors for errors in steps if all(each["train"]["loss"] is not None for each in errors)]
        loss = [float(np.mean([each["train"]["loss"] for each in errors])) for errors in finite]
        error = [float(np.mean([each["test"]["error"] for each in errors])) for errors in finite]
        drawn = [(x, y) for x, y in zip(loss, error, strict=True) if x <= FIRST_LOSS]
        panel.line(norm, [x for x, _ in drawn], [y for _, y in drawn], label=label, **shape)
    panel.ax.axvline(LOSS, ymax=0.78, color=GRAY, linewidth=0.8)  # up to the legend
    panel.ax.set_xscale("log")
    panel.ax.minorticks_off()
    panel.ax.set_xticks(LOSSES, labels=[f"{loss:g}" for loss in LOSSES])
    panel.ax.set_xlim(FIRST_LOSS, LOSSES[-1] / 2)  # training goes to the right
    panel.labels(f"training loss, rate {rate:g}", "test error (%)")


def _arms(tables: Tables, rate: Number, panel: Panel) -> None:
    """Errors at equal loss, where every seed gets there, and after the last step."""
    arms = list(_every_arm(tables, rate))[::-1]
    for y, arm in enumerate(arms):
        color = norm_styles([arm.norm])[arm.norm].color
        reached = list(at_loss(arm.found, arm.norm, arm.x).values())
        last = list(arm.found.errors(arm.norm, arm.x).values())
        if len(reached) == SEEDS:
            _point(panel, reached, y + 0.14, color=color, marker="o")
        _point(panel, last, y - 0.14, color=color, marker="o", markerfacecolor="white")
    panel.ax.plot([], [], "o", color=GRAY, label=f"at training loss {LOSS:g}")
    panel.ax.plot([], [], "o", color=GRAY, markerfacecolor="white", label="after the last step")
    panel.ax.set_yticks(range(len(arms)), labels=[arm.label for arm in arms])
    panel.labels(f"test error (%), rate {rate:g}", "")


def _point(panel: Panel, errors: Sequence[float], y: float, **shape: Any) -> None:
    one = of_mean(errors)
    half = [[one.mean - one.low], [one.high - one.mean]]
    panel.ax.errorbar([one.mean], [y], xerr=half, markersize=4, linewidth=1.1, **shape)


def _lines() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Norm, label, experiment and shape of the arms that are trained at every rate."""
    yield "none", reader_name("none"), "few_images", {}
    yield "bn", reader_name("bn"), "few_images", {}
    yield "bn", WITHOUT_NOISE, "few_images_without_noise", {"linestyle": ":", "markerfacecolor": "white"}


def _every_arm(tables: Tables, rate: Number) -> Iterator[_Arm]:
    dropped, groups = tables["few_images_dropout"], tables["few_images_groups"]
    yield _Arm("no norm", tables["few_images"], "none", rate)
    for share in DROPOUT:
        yield _Arm(f"dropout {share:g}", dropped, "none", share)
    yield _Arm("BN without noise", tables["few_images_without_noise"], "bn", rate)
    yield _Arm("BN", tables["few_images"], "bn", rate)
    for size in GROUPS:
        yield _Arm(f"BN, groups of {size}", groups, "bn", size)
    for share in DROPOUT:
        yield _Arm(f"BN and dropout {share:g}", dropped, "bn", share)
