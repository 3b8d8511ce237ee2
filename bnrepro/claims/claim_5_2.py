"""Claim 5.2: better accuracy, because batch normalization regularizes as dropout does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import DATA, SEARCH_SEEDS
from bnrepro.claims.few_images import RATES, at_loss, best_rates, everything, first_rates
from bnrepro.claims.few_images_figure import draw
from bnrepro.claims.intervals import Interval, of_difference, of_mean
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Part, below

Errors = Mapping[int, float]
"""Seed -> test error in percent."""


def rates_that_reach(tables: Tables, experiments: Sequence[tuple[str, str]]) -> list[float]:
    """Those at which every arm, `(experiment, norm)`, reaches the loss in every seed of the search."""
    return [
        rate
        for rate in RATES
        if all(
            len(at_loss(tables[name], norm, rate, search=True)) == len(SEARCH_SEEDS)
            for name, norm in experiments
        )
    ]


def regularizes(bn: Mapping[float, Errors], none: Mapping[float, Errors]) -> Part:
    """Of the errors at equal training loss, by rate."""
    lower = {rate: _difference(bn[rate], none[rate]) for rate in bn}
    verdict = _together(
        supported=[interval.high < 0 for interval in lower.values()],
        contradicted=[interval.low > 0 for interval in lower.values()],
    )
    return Part(
        "regularizes: lower test error at equal training loss",
        "BN − none: upper limit < 0 points at every rate; contradicted if at one the lower limit > 0",
        verdict,
        _by_rate(lower),
        _numbers(lower),
    )


def by_noise(
    bn: Mapping[float, Errors], without: Mapping[float, Errors], none: Mapping[float, Errors]
) -> Part:
    """The same, with batch norm whose statistics hardly have noise."""
    noise = {rate: _difference(bn[rate], without[rate]) for rate in bn}
    whole = {rate: _difference(bn[rate], none[rate]) for rate in bn}
    beyond_half = {rate: _beyond_half(bn[rate], without[rate], none[rate]) for rate in bn}
    verdict = _together(
        supported=[noise[rate].high < 0 and noise[rate].mean <= whole[rate].mean / 2 for rate in bn],
        contradicted=[noise[rate].low > 0 or beyond_half[rate].low > 0 for rate in bn],
    )
    found = [
        f"rate {rate:g}: {noise[rate]} of BN − none {whole[rate].mean:.3g}; beyond half {beyond_half[rate]}"
        for rate in bn
    ]
    return Part(
        "as dropout does, by noise",
        "BN − BN without noise: upper limit < 0 points and at least half of BN − none, at every rate; "
        "contradicted if at one its lower limit, or that of what it has beyond half, > 0",
        verdict,
        "; ".join(found) or "no rate",
        {"noise": _numbers(noise), "whole": _numbers(whole), "beyond_half": _numbers(beyond_half)},
    )


def judge(tables: Tables) -> Sequence[Part]:
    arms = {"bn": ("few_images", "bn"), "none": ("few_images", "none")}
    all_arms = arms | {"without": ("few_images_without_noise", "bn")}

    def errors(arm: str, rates: Sequence[float]) -> dict[float, Errors]:
        name, norm = all_arms[arm]
        return {rate: at_loss(tables[name], norm, rate) for rate in rates}

    two = rates_that_reach(tables, list(arms.values()))
    three = rates_that_reach(tables, list(all_arms.values()))
    best = best_rates(tables)
    final = {norm: tables["few_images"].errors(norm, best[norm]) for norm in best}
    return [
        regularizes(errors("bn", two), errors("none", two)),
        by_noise(errors("bn", three), errors("without", three), errors("none", three)),
        below(
            f"accuracy, each at its own best rate (bn {best['bn']:g}, none {best['none']:g})",
            of_difference(final["bn"], final["none"]),
            0.0,
            " points",
        ),
    ]


def _difference(of: Errors, minus: Errors) -> Interval:
    """Without bounds where no seed has both: that decides nothing."""
    return of_difference(of, minus) if of.keys() & minus.keys() else _NOTHING


def _beyond_half(bn: Errors, without: Errors, none: Errors) -> Interval:
    """(BN − without) − (BN − none) / 2, by seed: below 0 where noise is more than half of the effect."""
    seeds = sorted(bn.keys() & without.keys() & none.keys())
    if not seeds:
        return _NOTHING
    return of_mean([bn[seed] / 2 - without[seed] + none[seed] / 2 for seed in seeds])


_NOTHING = Interval(0.0, float("-inf"), float("inf"), 0)


def _together(supported: Sequence[bool], contradicted: Sequence[bool]) -> str:
    if any(contradicted):
        return CONTRADICTED
    return SUPPORTED if supported and all(supported) else UNDECIDED


def _by_rate(intervals: Mapping[float, Interval]) -> str:
    texts = (f"rate {rate:g}: {interval.text('points')}" for rate, interval in intervals.items())
    return "; ".join(texts) or "no rate"


def _numbers(intervals: Mapping[float, Interval]) -> dict[str, Any]:
    return {
        f"{rate:g}": {"mean": one.mean, "low": one.low, "high": one.high, "n": one.n}
        if one.n > 1
        else {"n": one.n}
        for rate, one in intervals.items()
    }


CLAIM = register(
    id="5.2",
    title="Better accuracy; regularizes as dropout does",
    text=(
        "Batch normalization gives better accuracy and regularizes as dropout does (source, section 5.2). "
        "A ReLU network, 3 × 100 units, 300 training images of digits or CIFAR-10, 60 behind each of 300 "
        "steps. Test errors are compared when the training loss in evaluation first reaches 0.01, so that "
        "no arm has fitted more than another. Batch norm without noise takes mean and variance from all 300 "
        "images in every step, with the same 60 behind the loss. The noise is varied too: ghost "
        "groups of 20, 10, 5 and 3 images, dropout of 0.2 and 0.5, both."
    ),
    published=(
        "Ioffe & Szegedy 2015, §3.4: the noise of the batch regularizes, and dropout can go. Luo et al. "
        "2019: the penalty that this noise amounts to. Wu & Johnson 2021: some noise helps, too much hurts."
    ),
    rounds=(first_rates, everything),
    judge=judge,
    draw=draw,
    data=DATA,
    notes=(
        "Rates are judged at which the arms reach the loss within 300 steps in every seed of the search. A "
        "pair of which a judging seed does not is left out; n says so.",
        "The training images are the same 300 for all seeds: intervals are over initial weights and orders.",
        "An arm that does not reach the loss within the 300 steps in every seed, as groups of 3 and dropout "
        "of 0.5 on digits, is drawn with its last error only.",
    ),
)
