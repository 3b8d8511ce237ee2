"""Claim 2: saturation and vanishing gradients, which batch norm cures; γ and β keep it non-linear.

Every network trains at the rate of a grid that has the least mean error on seeds 0-4, of ties the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bnrepro.claims import affine_arms, deep_networks
from bnrepro.claims.affine_arms import AFFINE, ARMS, LINEAR, NO_AFFINE
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.deep_networks import DEEP, Measured, Network
from bnrepro.claims.deep_networks_figure import draw
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.intervals import of_difference, of_mean
from bnrepro.claims.verdict import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Part,
    above,
    below,
    within,
)

VANISHED, STEADY = -2.0, 0.5
"""log10 of the first over the last hidden layer's gradient."""
FAILED, TRAINED, LEARNED = 50.0, 10.0, 20.0
"""Errors in percent."""
UNSATURATED, SATURATED = 1.0, 40.0
"""Percent of the hidden units' values."""


def vanish_and_cure(kind: str, bare: Measured, normed: Measured) -> Part:
    """Of a network without and with batch norm."""
    conditions = [
        below("log10 without batch norm", bare.ratio, VANISHED),
        within("log10 with it", normed.ratio, -STEADY, STEADY),
        above("error without", bare.error, FAILED, " %"),
        below("error with it", normed.error, TRAINED, " %"),
    ]
    verdicts = {each.verdict for each in conditions}
    verdict = verdicts.pop() if len(verdicts) == 1 else UNDECIDED
    return Part(
        f"vanish and cure: {kind}",
        f"log10 of first/last layer's gradient: upper limit < {VANISHED:g} without batch norm, interval "
        f"within ±{STEADY:g} with it; error: lower limit > {FAILED:g} % without, upper limit < {TRAINED:g} % "
        "with it; contradicted if an interval lies on the wrong side",
        CONTRADICTED if CONTRADICTED in {each.verdict for each in conditions} else verdict,
        "; ".join(f"{each.name} {each.found}" for each in conditions),
        {each.name: each.numbers for each in conditions},
    )


def because_of_saturation(networks: Mapping[Network, Measured]) -> Part:
    """Does a network fail where it is saturated, and only there?"""
    failed = {network: one for network, one in networks.items() if one.error.low > FAILED}
    learned = {network: one for network, one in networks.items() if one.error.high < LEARNED}
    without = [network for network, one in failed.items() if one.saturated.high < UNSATURATED]
    despite = [network for network, one in learned.items() if one.saturated.low > SATURATED]
    least = min((one.saturated.low for one in failed.values()), default=0.0)
    most = max((one.saturated.high for one in learned.values()), default=100.0)
    verdict = CONTRADICTED if without and despite else SUPPORTED if least > most else UNDECIDED
    return Part(
        "because of saturation",
        f"contradicted if a network with < {UNSATURATED:g} % saturated fails (error > {FAILED:g} %) and one "
        f"with > {SATURATED:g} % learns (< {LEARNED:g} %); supported if all that fail are more saturated "
        "than all that learn; limits of the intervals",
        verdict,
        f"unsaturated and fails: {_listed(without, networks)}; "
        f"saturated and learns: {_listed(despite, networks)}",
        {_name(network): _numbers(one) for network, one in networks.items()},
    )


def affine_needed(errors: Mapping[str, Mapping[int, float]]) -> list[Part]:
    """Of the errors by arm and seed."""
    needed = above(
        "γ and β needed: no affine − affine", of_difference(errors[NO_AFFINE], errors[AFFINE]), 0.5, " points"
    )
    arms = {arm: of_mean(list(found.values())).numbers() for arm, found in errors.items()}
    linear = below(
        "without them as a linear network: linear − no affine",
        of_difference(errors[LINEAR], errors[NO_AFFINE]),
        1.0,
        " points",
    )
    return [replace(needed, numbers={**needed.numbers, "errors": arms}), linear]


def judge(tables: Tables) -> Sequence[Part]:
    networks = deep_networks.measured(tables)
    return [
        *(vanish_and_cure(bare.kind, networks[bare], networks[bare.with_norm("bn")]) for bare in DEEP),
        because_of_saturation(networks),
        *affine_needed({arm: affine_arms.errors(tables, arm) for arm in ARMS}),
    ]


def _listed(chosen: Sequence[Network], networks: Mapping[Network, Measured]) -> str:
    texts = [
        f"{_name(network)} ({one.saturated.mean:.2g} %, after training {one.saturated_after.mean:.2g} %; "
        f"error {one.error.mean:.3g} %)"
        for network, one in networks.items()
        if network in chosen
    ]
    return ", ".join(texts) or "none"


def _name(network: Network) -> str:
    return f"{network.kind}, depth {network.depth}{', batch norm' if network.norm == 'bn' else ''}"


def _numbers(one: Measured) -> dict[str, object]:
    return {key: interval.numbers() for key, interval in vars(one).items()}


def first_round(tables: Tables) -> Sequence[Experiment]:
    return [*deep_networks.rates(tables), *affine_arms.rates(tables)]


def second_round(tables: Tables) -> Sequence[Experiment]:
    return [*deep_networks.at_best_rates(tables), *affine_arms.at_best_rates(tables)]


CLAIM = register(
    id="2",
    title="Saturation, vanishing gradients; γ and β",
    text=(
        "Deep networks of sigmoid or tanh saturate, the gradients of their low layers vanish, and batch "
        "normalization cures it; γ and β keep it from making the network linear (source, section 2). "
        "Networks of 64 units, depth 2, 4 and 8, Xavier and N(0, 1) weights, 300 steps of 64 images, judged "
        "at depth 8; gradients and saturation (slope at most a tenth of the largest) before training. Then "
        "sigmoid, 2 × 64 units, and the task whether a digit is odd: batch norm with parts of its affine "
        "map, and a linear network with batch norm."
    ),
    published=(
        "Glorot & Bengio 2010, §3 and §4: saturation in deep sigmoid networks, and gradients that shrink "
        "with depth. Ioffe & Szegedy 2015, §3: γ and β keep what the layer can represent; §4.2.2: Inception "
        "with sigmoids trains only with batch norm."
    ),
    rounds=(first_round, second_round),
    judge=judge,
    draw=draw,
    notes=(
        "Each network and each arm has the rate of its own that is best on seeds 0–4.",
        "Sigmoids have a slope of 1/4 at most: with Xavier weights the gradient shrinks in every layer, "
        "without a saturated unit. With N(0, 1) weights half of the units are saturated, and large weights "
        "carry the gradient down; through tanh it even grows. There batch norm cures one that explodes.",
        "Batch norm without affine map is a fixed γ of 1. One of 0.1 or 0.3 makes the errors of a linear "
        "network; one of 3 or 10 serves as well as γ and β that are learned: what is needed is a scale at "
        "which the sigmoid bends.",
    ),
)
