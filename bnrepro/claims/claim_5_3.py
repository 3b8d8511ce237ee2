"""Claim 5.3: larger learning rates, and less care for the initialization."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bnrepro.analysis.style import norm_styles
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import DATA, Experiment
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import Interval, of_difference, of_mean
from bnrepro.claims.rates import NORMS, RATES, bounds, experiments
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Part, above, holds
from bnrepro.sweep.axis import Number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAINS = tuple(2.0**power for power in range(-6, 7))
NETS = {"relu": (), "sigmoid": ("model.activation=sigmoid", "model.depth=2", "model.init=xavier")}
NEAR = 2.0  # points
ARMS = ("bn", "none")
"""What is judged; layer norm is drawn beside."""
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


def stretches(found: Found, norm: str, bound: Mapping[int, float]) -> dict[int, range]:
    """Seed -> which of the axis's values lie within the seed's bound: the longest unbroken stretch."""
    return {
        seed: _longest(
            [found.errors(norm, x).get(seed, 100.0) <= bound[seed] for x in found.experiment.values]
        )
        for seed in found.seeds()
    }


def _longest(inside: Sequence[bool]) -> range:
    """Of equal ones the first."""
    longest = range(0)
    for first in range(len(inside)):
        end = next((place for place in range(first, len(inside)) if not inside[place]), len(inside))
        if end - first > len(longest):
            longest = range(first, end)
    return longest


def octaves(stretch: range) -> float:
    """How wide it is, between its first value and its last."""
    return float(max(0, len(stretch) - 1))


def near_best(found: Found, norm: str) -> dict[int, float]:
    """Seed -> the error that counts as good: the seed's best and two points; none where it never learned."""
    values = found.experiment.values
    best = {seed: min(found.errors(norm, x).get(seed, 100.0) for x in values) for seed in found.seeds()}
    return {
        seed: error + NEAR if error <= bounds(found).unusable else -math.inf for seed, error in best.items()
    }


def largest_usable(found: Found, norm: str) -> dict[int, float]:
    """Seed -> log2 of the largest rate at which the network learned; an octave below all where at none."""
    return {
        seed: max(
            (math.log2(x) for x in RATES if found.errors(norm, x).get(seed, 100.0) < bounds(found).usable),
            default=math.log2(RATES[0]) - 1,
        )
        for seed in found.seeds()
    }


def judge(tables: Tables) -> Sequence[Part]:
    rates = tables["rates"]
    usable = {norm: largest_usable(rates, norm) for norm in NORMS}
    times = {seed: usable["bn"][seed] - usable["none"][seed] for seed in usable["bn"]}
    extremes = sorted({min(times.values()), max(times.values())})
    return [
        holds(
            "larger rates",
            f"largest rate with < {bounds(rates).usable:g} % at least 4 times that without a norm, in every "
            "seed",
            min(times.values()) >= 2,
            f"{' to '.join(f'{2**some:g}' for some in extremes)} times",
            octaves=list(times.values()),
        ),
        wider("wider range of rates", dict.fromkeys(ARMS, rates), 2.0),
        *(wider(f"easier initialization, {net}", _gains(tables, net), 3.0) for net in NETS),
    ]


def _gains(tables: Tables, net: str) -> dict[str, Found]:
    return {norm: tables[f"gains_{net}_{norm}"] for norm in ARMS}


def wider(name: str, found: Mapping[str, Found], least: float) -> Part:
    """By how many octaves more batch norm is near its best.

    A range that reaches the end of what was tried may be wider: what that could change is not decided.
    """
    good = {norm: stretches(own, norm, near_best(own, norm)) for norm, own in found.items()}
    widths = {norm: {seed: octaves(one) for seed, one in own.items()} for norm, own in good.items()}
    part = above(name, of_difference(widths["bn"], widths["none"]), least, " octaves")
    norm = {CONTRADICTED: "bn", SUPPORTED: "none"}.get(part.verdict)
    if norm is None or not _cut_off(good[norm].values(), len(found[norm].experiment.values)):
        return part
    text = f"{part.found}; the range of {norm} reaches the end of what was tried"
    return replace(part, verdict=UNDECIDED, found=text)


def _cut_off(ranges: Iterable[range], number: int) -> bool:
    """Does one hold the first or the last of so many values?"""
    return any({0, number - 1} & set(one) for one in ranges)


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
