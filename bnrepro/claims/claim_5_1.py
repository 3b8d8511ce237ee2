"""Claim 5.1: training converges much faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnrepro.analysis.style import GRAY, norm_styles
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import DATA, SEARCH_SEEDS
from bnrepro.claims.figures import Panel, panels, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import of_ratio
from bnrepro.claims.rates import NORMS, RATES, bounds, experiments, smoothed_errors, steps_to
from bnrepro.claims.verdict import Part, above, holds

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def fastest_rate(found: Found, norm: str) -> float:
    """Of the search's seeds: the rate that reaches the error in the fewest steps on average."""

    def steps(rate: float) -> float:
        return sum(steps_to(found, norm, rate, seed, bounds(found).fast) for seed in SEARCH_SEEDS)

    return min(RATES, key=lambda rate: (steps(rate), rate))


def steps_at_fastest(found: Found, norm: str) -> dict[int, float]:
    rate = fastest_rate(found, norm)
    return {seed: steps_to(found, norm, rate, seed, bounds(found).fast) for seed in found.seeds()}


def judge(tables: Tables) -> Sequence[Part]:
    found = tables["rates"]
    rates = {norm: fastest_rate(found, norm) for norm in NORMS}
    steps = {norm: steps_at_fastest(found, norm) for norm in NORMS}
    ratio = of_ratio(steps["none"], steps["bn"])
    only_with = [
        rate
        for rate in RATES
        if all(error > bounds(found).unusable for error in found.errors("none", rate).values())
        and all(error < bounds(found).usable for error in found.errors("bn", rate).values())
    ]
    text = ", ".join(f"{rate:g}" for rate in only_with) or "none"
    return [
        above(
            f"faster, each at its fastest rate (bn {rates['bn']:g}, none {rates['none']:g})", ratio, 1.2, " ×"
        ),
        above("much faster", ratio, 3.0, " ×"),
        holds(
            "trains where no norm fails",
            f"a rate at which every seed has < {bounds(found).usable:g} % with batch norm and "
            f"> {bounds(found).unusable:g} % without",
            bool(only_with),
            f"rates: {text}",
            rates=only_with,
        ),
    ]


def draw(tables: Tables) -> Figure:
    found = tables["rates"]
    error = bounds(found).fast

    def curves(panel: Panel) -> None:
        for norm in NORMS:
            rate = fastest_rate(found, norm)
            for number, seed in enumerate(found.seeds()):
                errors = smoothed_errors(found, norm, rate, seed)
                label = f"{reader_name(norm)}, rate {rate:g}" if number == 0 else None
                panel.line(norm, list(errors), list(errors.values()), label=label)
        panel.ax.axhline(error, color=GRAY, linewidth=0.8)
        panel.log_y()
        panel.labels("training steps", "test error (%), mean of 3 evaluations")

    def steps_by_rate(panel: Panel) -> None:
        for norm in NORMS:
            means = [
                sum(steps_to(found, norm, rate, seed, error) for seed in found.seeds()) / len(found.seeds())
                for rate in RATES
            ]
            panel.line(norm, RATES, means, label=reader_name(norm), marker=norm_styles([norm])[norm].marker)
        panel.octaves(RATES)
        panel.log_y()
        panel.labels("learning rate", f"steps to {error:g} % error, where every seed gets there")

    return panels(
        [curves, steps_by_rate], "Each arm at the rate that is fastest on other seeds; one line per seed"
    )


CLAIM = register(
    id="5.1",
    title="Training converges much faster",
    text=(
        "With batch normalization a network needs much fewer training steps to the same error (source, "
        "section 5.1). A ReLU network, 3 × 100 units, batch 64, momentum 0.9: steps until the test error is "
        "5 % (digits, 640 images; CIFAR-10: 65 %, 6,400 images), each arm at the rate that is fastest for it "
        "on other seeds."
    ),
    published="Ioffe & Szegedy 2015, §4.2.1: Inception reaches its accuracy in 14 times fewer steps.",
    rounds=(experiments,),
    judge=judge,
    draw=draw,
    data=DATA,
    notes=(
        "Steps to the other arm's final error would measure noise at the floor, and choosing the rate by the "
        "final error picks among ties. Layer norm is drawn beside, which sees no batch.",
    ),
)
