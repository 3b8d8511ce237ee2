"""Claim 5.3: larger learning rates, and less care for the initialization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnrepro.analysis.style import norm_styles
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import DATA, Experiment
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import Interval, of_difference, of_mean
from bnrepro.claims.rates import NORMS, RATES, bounds, experiments
from bnrepro.claims.verdict import Part, above, holds
from bnrepro.sweep.axis import Number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAINS = tuple(2.0**power for power in range(-6, 7))
NETS = {"relu": (), "sigmoid": ("model.activation=sigmoid", "model.depth=2", "model.init=xavier")}
NEAR = 2.0  # points
LAST_ONLY = "evaluation.every=0"
"""Only the last error counts; 40 evaluations take a third of such a run."""
SIGMOID_RATES = tuple(2.0**power for power in range(-6, 5))


def sigmoid_rates(tables: Tables) -> Sequence[Experiment]:
    return [
        Experiment(
            *("sigmoid_rates", "claims/rates", NORMS, SIGMOID_RATES),
            seeds=0,
            key="optimizer.base_lr",
            overrides=(*NETS["sigmoid"], LAST_ONLY),
            search=True,
        )
    ]


def first_round(tables: Tables) -> Sequence[Experiment]:
    return [*experiments(tables), *sigmoid_rates(tables)]


def gains(tables: Tables) -> Sequence[Experiment]:
    """Every gain at each arm's best rate, chosen on the search's seeds."""
    return [
        Experiment(
            *(f"gains_{net}_{norm}", "claims/rates", (norm,), GAINS),
            seeds=5,
            key="model.init_gain",
            overrides=(*options, LAST_ONLY, f"optimizer.base_lr={best_rate(tables, net, norm)!r}"),
        )
        for net, options in NETS.items()
        for norm in NORMS
    ]


def best_rate(tables: Tables, net: str, norm: str) -> Number:
    return tables["rates" if net == "relu" else "sigmoid_rates"].best_value(norm)


def octaves(found: Found, norm: str, bound: dict[int, float]) -> dict[int, float]:
    """Seed -> how many octaves of the axis lie within the seed's bound: the longest unbroken stretch."""
    widths = {}
    for seed in found.seeds():
        inside = [found.errors(norm, x).get(seed, 100.0) <= bound[seed] for x in found.experiment.values]
        longest = run = 0
        for good in inside:
            run = run + 1 if good else 0
            longest = max(longest, run)
        widths[seed] = float(max(0, longest - 1))
    return widths


def near_best(found: Found, norm: str) -> dict[int, float]:
    """Seed -> the error that counts as good: the seed's best and two points."""
    values = found.experiment.values
    return {
        seed: min(found.errors(norm, x).get(seed, 100.0) for x in values) + NEAR for seed in found.seeds()
    }


def largest_usable(found: Found, norm: str) -> dict[int, float]:
    """Seed -> log2 of the largest rate at which the network learned; −∞ where it did at none."""
    return {
        seed: max(
            (math.log2(x) for x in RATES if found.errors(norm, x).get(seed, 100.0) < bounds(found).usable),
            default=-math.inf,
        )
        for seed in found.seeds()
    }


def judge(tables: Tables) -> Sequence[Part]:
    rates = tables["rates"]
    usable = {norm: largest_usable(rates, norm) for norm in NORMS}
    times = {seed: usable["bn"][seed] - usable["none"][seed] for seed in usable["bn"]}
    extremes = sorted({min(times.values()), max(times.values())})
    widths = {norm: octaves(rates, norm, near_best(rates, norm)) for norm in NORMS}
    parts = [
        holds(
            "larger rates",
            f"largest rate with < {bounds(rates).usable:g} % at least 4 times that without a norm, in every "
            "seed",
            min(times.values()) >= 2,
            f"{' to '.join(f'{2**some:g}' for some in extremes)} times",
            octaves=list(times.values()),
        ),
        above("wider range of rates", of_difference(widths["bn"], widths["none"]), 2.0, " octaves"),
    ]
    for net in NETS:
        wider = _gain_widths(tables, net)
        parts.append(
            above(f"easier initialization, {net}", of_difference(wider["bn"], wider["none"]), 3.0, " octaves")
        )
    return parts


def _gain_widths(tables: Tables, net: str) -> dict[str, dict[int, float]]:
    found = {norm: tables[f"gains_{net}_{norm}"] for norm in NORMS}
    return {norm: octaves(found[norm], norm, near_best(found[norm], norm)) for norm in NORMS}


def draw(tables: Tables) -> Figure:
    def rates(panel: Panel) -> None:
        _lines(panel, dict.fromkeys(NORMS, tables["rates"]), "learning rate")

    def gains_of(net: str, panel: Panel) -> None:
        found = {norm: tables[f"gains_{net}_{norm}"] for norm in NORMS}
        _lines(panel, found, f"gain of the initial weights, {net}")

    return panels(
        [rates, *(lambda panel, net=net: gains_of(net, panel) for net in NETS)],
        "Error against learning rate, and against the size of the initial weights",
    )


def _lines(panel: Panel, found: dict[str, Found], x: str) -> None:
    for norm, runs in found.items():
        means: list[Interval] = [
            of_mean(list(runs.errors(norm, value).values())) for value in runs.experiment.values
        ]
        style = norm_styles([norm])[norm]
        panel.line(
            norm,
            runs.experiment.values,
            [one.mean for one in means],
            label=reader_name(norm),
            marker=style.marker,
        )
        panel.ax.fill_between(
            runs.experiment.values,
            [one.low for one in means],
            [one.high for one in means],
            color=style.color,
            alpha=0.15,
        )
    panel.octaves(next(iter(found.values())).experiment.values)
    panel.ax.set_ylim(0, 100)
    panel.labels(x, "test error (%)")


CLAIM = register(
    id="5.3",
    title="Larger rates, easier initialization",
    text=(
        "Batch normalization allows larger learning rates and makes the initialization matter less (source, "
        "section 5.3). The rates of claim 5.1; then the initial weights times 2^-6 to 2^6 at each arm's best "
        "rate, in a ReLU network of 3 × 100 and a sigmoid network of 2 × 100 units."
    ),
    published="Ioffe & Szegedy 2015, §3.3; Bjorck et al. 2018: large rates are what makes the difference.",
    rounds=(first_round, gains),
    judge=judge,
    draw=draw,
    data=DATA,
    notes=("Layer norm gives most of the width too: it is the normalization, not the batch.",),
)
