"""Claim 1: training shifts the inputs of inner layers; batch norm keeps them the same, and so helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnrepro.claims.claim import Tables, register
from bnrepro.claims.experiment import DATA
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import Interval, of_mean, of_ratio
from bnrepro.claims.shifted import (
    NETS,
    RATES,
    BySeed,
    experiments,
    gradient_shifts,
    last_drifts,
    learning_rates,
    mean_over,
    step_moves,
    top,
)
from bnrepro.claims.shifted_figure import draw
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED, Part

STEADIER, SAME = 2.0, 0.1
REDUCED, INCREASED = 0.8, 1.25
ONE_POINT = 1.0


def steadier(
    none: Mapping[float, BySeed], bn: Mapping[float, BySeed], entering: Mapping[float, BySeed], net: str
) -> Part:
    """Of the last layer's drifts by rate; `entering`: those of what enters its batch norm."""
    ratios = {rate: of_ratio(none[rate], bn[rate]) for rate in bn}
    before = {rate: of_ratio(none[rate], entering[rate]) for rate in bn}
    verdict = _every(
        supported=[ratio.low > STEADIER for ratio in ratios.values()],
        contradicted=[ratio.high < STEADIER for ratio in ratios.values()],
    )
    return Part(
        f"steadier ({net})",
        "drift of what enters the last activation, none / BN: lower limit > 2 at every rate where both "
        "learn; contradicted if at one the upper limit < 2. Beside it, not judged: what enters BN",
        verdict,
        f"{_by(ratios)}. What enters BN, none / BN: {_by(before)}",
        {"ratio": _numbers(ratios), "what enters BN": _numbers(before)},
    )


def the_same(drifts: Mapping[float, Mapping[int, Sequence[float]]], net: str) -> Part:
    """Of batch norm's drifts: rate -> seed -> layer by layer."""
    by_layer = {
        f"rate {rate:g}, layer {number + 1}": of_mean(list(layer))
        for rate, seeds in drifts.items()
        for number, layer in enumerate(zip(*seeds.values(), strict=True))
    }
    verdict = _every(
        supported=[one.high < SAME for one in by_layer.values()],
        contradicted=[one.low > SAME for one in by_layer.values()],
    )
    extremes = sorted(by_layer.items(), key=lambda item: item[1].mean)
    ends = dict([extremes[-1], extremes[0]]) if extremes else {}
    return Part(
        f"the same ({net})",
        "BN's drift of what enters each activation: upper limit < 0.1 sd in every layer at every rate; "
        "contradicted if in one the lower limit > 0.1 sd",
        verdict,
        f"most and least: {_by(ends, ' sd')}",
        _numbers(by_layer),
    )


def gradient_shift_reduced(ratios: Mapping[float, Mapping[str, BySeed]], net: str) -> Part:
    """Of BN / none by rate and phase."""
    found = {
        f"rate {rate:g}, {phase}": of_mean_ratio(values)
        for rate, phases in ratios.items()
        for phase, values in phases.items()
    }
    verdict = _every(
        supported=[one.high < REDUCED for one in found.values()],
        contradicted=[one.low > INCREASED for one in found.values()],
    )
    return Part(
        f"gradient shift reduced ({net})",
        "relative l2 of the gradient's change by the layers below, BN / none: upper limit < 0.8 in both "
        "phases at every rate where both learn; contradicted if at one the lower limit > 1.25",
        verdict,
        _by(found),
        _numbers(found),
    )


def why(drift: Mapping[str, BySeed], error: BySeed, net: str, kind: str) -> Part:
    """Of noisy batch norm's `drift` over that of no norm, and its error minus batch norm's, in points.

    `drift`: `none` and `bn_noisy`, each by seed; all averaged over the rates where the arms learn.
    """
    if not error:
        return Part(_why_name(net, kind), _why_rule(kind), UNDECIDED, "no rate at which all learn", {})
    ratio, loss = of_ratio(drift["bn_noisy"], drift["none"]), of_mean(list(error.values()))
    more = ratio.low > 1
    verdict = _every([more and loss.low > ONE_POINT], [more and loss.high < ONE_POINT])
    return Part(
        _why_name(net, kind),
        _why_rule(kind),
        verdict,
        f"noisy BN moves {ratio.text('×')}, its error − BN's {loss.text('points')}",
        _numbers({"drift": ratio, "error": loss}),
    )


FROM_START, IN_A_STEP = "since step 0", "in one step"


def _why_name(net: str, kind: str) -> str:
    return f"that is why it works: drift {kind} ({net})"


def _why_rule(kind: str) -> str:
    return (
        f"contradicted if what enters the last activation moves more {kind} under noisy BN than without "
        "a norm (ratio's lower limit > 1) and noisy BN's error − BN's has an upper limit < 1 point; "
        "supported if it moves more and the lower limit > 1 point; mean over the rates where all learn"
    )


def of_mean_ratio(ratios: BySeed) -> Interval:
    """The geometric mean over seeds."""
    return of_ratio(ratios, dict.fromkeys(ratios, 1.0))


def judge(tables: Tables) -> Sequence[Part]:
    return [part for net in NETS for part in _judge(tables[net.experiment], net.label)]


def _judge(found: Found, net: str) -> list[Part]:
    rates = learning_rates(found)
    bn = {rate: last_drifts(found, "bn", rate) for rate in RATES}
    none = {rate: top(last_drifts(found, "none", rate)) for rate in rates}
    entering = {rate: top(last_drifts(found, "bn", rate, "norms")) for rate in rates}
    all_learn = learning_rates(found, ("bn", "none", "bn_noisy"))
    errors = {
        norm: mean_over([found.errors(norm, rate) for rate in all_learn]) for norm in ("bn", "bn_noisy")
    }
    error = {seed: errors["bn_noisy"][seed] - errors["bn"][seed] for seed in errors["bn"]}
    arms = ("none", "bn_noisy")
    since = {norm: mean_over([top(last_drifts(found, norm, rate)) for rate in all_learn]) for norm in arms}
    step = {norm: mean_over([step_moves(found, norm, rate) for rate in all_learn]) for norm in arms}
    return [
        steadier(none, {rate: top(bn[rate]) for rate in rates}, entering, net),
        the_same(bn, net),
        gradient_shift_reduced({rate: gradient_shifts(found, rate) for rate in rates}, net),
        why(since, error, net, FROM_START),
        why(step, error, net, IN_A_STEP),
    ]


def _every(supported: Sequence[bool], contradicted: Sequence[bool]) -> str:
    """Of a sentence about every case: one is enough to contradict it."""
    if any(contradicted):
        return CONTRADICTED
    return SUPPORTED if supported and all(supported) else UNDECIDED


def _by(intervals: Mapping[Any, Interval], unit: str = "") -> str:
    texts = (f"{_case(case)}: {one.text(unit)}" for case, one in intervals.items())
    return "; ".join(texts) or "no rate at which both learn"


def _numbers(intervals: Mapping[Any, Interval]) -> dict[str, Any]:
    return {
        _case(case): {"mean": one.mean, "low": one.low, "high": one.high, "n": one.n}
        for case, one in intervals.items()
    }


def _case(case: Any) -> str:
    return f"rate {case:g}" if isinstance(case, float) else str(case)


CLAIM = register(
    id="1",
    title="Batch norm keeps the inputs of inner layers the same",
    text=(
        "Training shifts the distribution of the inputs of inner layers, and batch normalization keeps it "
        "the same, which is why it works (source, section 1). Two networks, 3 × 100 sigmoid units and "
        "4 × 100 ReLU units (Xavier), batch 60, 440 steps (digits: 1,320 images, CIFAR-10: 6,600), rates "
        "0.03, 0.1 and 0.3. Drift: how far the values of a unit have moved since step 0, as the "
        "1-Wasserstein distance over their standard deviation, after the last step. The shift of the "
        "gradient: how much a layer's gradient changes because the layers below it took their step. Noisy "
        "batch norm, the control, moves what batch norm gives in every step, by a random scale U(1, 1.25) "
        "and shift U(−0.5, 0.5) of every unit."
    ),
    published=(
        "Ioffe & Szegedy 2015, §4.1 and Fig. 1: the quantiles of one unit stay where they are. Santurkar et "
        "al. 2018, §2: the gradients shift as much with batch norm, and noisy batch norm trains as well."
    ),
    rounds=(experiments,),
    judge=judge,
    draw=draw,
    data=DATA,
    notes=(
        "Behind batch norm the mean and variance of a batch are fixed by construction up to its weight and "
        "bias: only these move them. The row of what enters BN shows how much moves in front of it.",
        "Both learn: every seed's error is below 20 % (CIFAR-10: 75 %). The first quarter and the rest are "
        "the two phases. The shift of the gradient is compared at the same step and layer, as a geometric "
        "mean.",
        "With five seeds the difference of two errors of digits is known to half a point to a point.",
        "Noise that is drawn anew around the same place does not accumulate: measured from step 0, as the "
        "criterion of the part 'that is why it works' has it, it is little beside what 440 steps add up to "
        "without a norm. What the layer above has to follow is how far its inputs move in one step: that is "
        "judged beside it, by a part that was added later.",
    ),
)
