"""Claim 5.1: training converges much faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bnrepro.analysis.style import GRAY, norm_styles
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import DATA, SEARCH_SEEDS
from bnrepro.claims.figures import Panel, panels, power_of_2, reader_name
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import of_ratio
from bnrepro.claims.rates import (
    NORMS,
    RATES,
    SMOOTHED,
    at_first_look,
    bounds,
    close,
    closer_look,
    experiments,
    smoothed_errors,
    steps_to,
)
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Part, above, holds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARMS = ("bn", "none")
"""What is judged; layer norm is drawn beside."""


def fastest_rate(found: Found, norm: str) -> float:
    """Of the search's seeds: the rate at which most reach the error, and of such that in the fewest steps."""

    def late_and_steps(rate: float) -> tuple[int, float]:
        steps = [steps_to(found, norm, rate, seed, bounds(found).fast) for seed in SEARCH_SEEDS]
        there = [some for some in steps if math.isfinite(some)]
        return len(steps) - len(there), sum(there)

    return min(found.experiment.values, key=lambda rate: (*late_and_steps(rate), rate))


def steps_at_fastest(found: Found, norm: str) -> dict[int, float]:
    rate = fastest_rate(found, norm)
    return {seed: steps_to(found, norm, rate, seed, bounds(found).fast) for seed in found.seeds()}


def judge(tables: Tables) -> Sequence[Part]:
    found = tables["rates"]
    only_with = [
        rate
        for rate in RATES
        if _every(found, "none", rate, lambda error: error > bounds(found).unusable)
        and _every(found, "bn", rate, lambda error: error < bounds(found).usable)
    ]
    text = ", ".join(f"{rate:g}" for rate in only_with) or "none"
    return [
        *compared(dict.fromkeys(ARMS, found)),
        *(compared(closely(tables), ", looked at every 10 steps") if closely(tables) else ()),
        holds(
            "trains where no norm fails",
            f"a rate at which every seed has < {bounds(found).usable:g} % with batch norm and "
            f"> {bounds(found).unusable:g} % without",
            bool(only_with),
            f"rates: {text}",
            rates=only_with,
        ),
    ]


def _every(found: Found, norm: str, rate: float, condition: Callable[[float], bool]) -> bool:
    """Of every seed: a run that failed has no error, and is neither good nor bad."""
    errors = found.errors(norm, rate)
    return errors.keys() >= set(found.seeds()) and all(map(condition, errors.values()))


def closely(tables: Tables) -> dict[str, Found]:
    """Norm -> its closer look, where both arms have one."""
    looks = {norm: tables[close(norm)] for norm in NORMS if close(norm) in tables}
    return looks if looks.keys() >= set(ARMS) else {}


def compared(found: Mapping[str, Found], how: str = "") -> Sequence[Part]:
    """Steps without a norm over those with batch norm, by two bounds."""
    rates = {norm: fastest_rate(found[norm], norm) for norm in ARMS}
    steps = {norm: steps_at_fastest(found[norm], norm) for norm in ARMS}
    late = {norm: sum(map(math.isinf, own.values())) for norm, own in steps.items()}
    counted = {
        norm: {seed: min(own, found[norm].steps) for seed, own in steps[norm].items()} for norm in ARMS
    }
    ratio = of_ratio(counted["none"], counted["bn"])
    at_rates = f"each at its fastest rate (bn {power_of_2(rates['bn'])}, none {power_of_2(rates['none'])})"
    parts = (
        above(f"faster{how}, {at_rates}", ratio, 1.2, " ×"),
        above(f"much faster{how}", ratio, 3.0, " ×"),
    )
    judged = (_unless_late(part, late) for part in parts)
    return [_unless_at_first_look(part, found["bn"], rates["bn"]) for part in judged]


def _unless_late(part: Part, late: Mapping[str, int]) -> Part:
    """A run that never gets there counts with its last step: a bound, which can prove one side only."""
    if not any(late.values()):
        return part
    doubtful = [verdict for verdict, norm in ((SUPPORTED, "bn"), (CONTRADICTED, "none")) if late[norm]]
    never = ", ".join(f"{norm} in {number} seeds" for norm, number in late.items() if number)
    return replace(
        part,
        verdict=UNDECIDED if part.verdict in doubtful else part.verdict,
        found=f"{part.found}; never there: {never}, which count with their last step",
    )


def _unless_at_first_look(part: Part, found: Found, rate: float) -> Part:
    """Batch norm that is there when one first looks may have been there long before: it is not too slow."""
    criterion = f"{part.criterion} and batch norm is not there at the first look"
    error = bounds(found).fast
    if not any(at_first_look(found, "bn", rate, seed, error) for seed in found.seeds()):
        return replace(part, criterion=criterion)
    verdict = UNDECIDED if part.verdict == CONTRADICTED else part.verdict
    found_text = f"{part.found}; batch norm is there at the first look"
    return replace(part, criterion=criterion, verdict=verdict, found=found_text)


def draw(tables: Tables) -> Figure:
    looks = closely(tables) or dict.fromkeys(NORMS, tables["rates"])
    error = bounds(tables["rates"]).fast

    def curves(panel: Panel) -> None:
        for norm, found in looks.items():
            rate = fastest_rate(found, norm)
            for number, seed in enumerate(found.seeds()):
                errors = smoothed_errors(found, norm, rate, seed)
                label = f"{reader_name(norm)}, rate {power_of_2(rate)}" if number == 0 else None
                panel.line(norm, list(errors), list(errors.values()), label=label)
        panel.ax.axhline(error, color=GRAY, linewidth=0.8)
        panel.log_y()
        panel.labels("training steps", f"test error (%), mean of {SMOOTHED} looks")

    def steps_by_rate(panel: Panel) -> None:
        for norm, found in looks.items():
            rates = found.experiment.values
            means = [
                sum(steps_to(found, norm, rate, seed, error) for seed in found.seeds()) / len(found.seeds())
                for rate in rates
            ]
            panel.line(norm, rates, means, label=reader_name(norm), marker=norm_styles([norm])[norm].marker)
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
    published=(
        "Ioffe & Szegedy 2015, §4.2.2: Inception reaches its accuracy in 14 times fewer steps (2.1 million, "
        "not 31.0) with batch norm, a rate 5 times as large, no dropout and other changes; with batch norm "
        "alone in 2.3 times fewer (13.3 million)."
    ),
    rounds=(experiments, closer_look),
    judge=judge,
    draw=draw,
    data=DATA,
    notes=(
        "Steps to the other arm's final error would measure noise at the floor, and choosing the rate by the "
        "final error picks among ties. Layer norm is drawn beside, which sees no batch.",
        "A run that never gets there counts with its last step; what that could change is not decided.",
        "On CIFAR-10 an evaluation ends every 100 steps, so that the mean of three is first known after 300, "
        "when both arms are there: too coarse for the criterion. The same is judged beside it from a closer "
        "look at the first 400 steps, which was added when that was seen.",
    ),
)
