"""Saturation would be blamed, batch norm praised or γ and β called needed where the numbers say otherwise."""

import json
import math
from types import SimpleNamespace

import pytest

from bnrepro.claims import CLAIMS
from bnrepro.claims.affine_arms import AFFINE, ARMS, LINEAR, NO_AFFINE
from bnrepro.claims.claim_2 import affine_needed, because_of_saturation, vanish_and_cure
from bnrepro.claims.deep_networks import DEEPEST, NETWORKS, Measured, Network, gradient_ratio, saturated
from bnrepro.claims.experiment import SEARCH_SEEDS
from bnrepro.claims.intervals import Interval
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED

SEEDS = range(100, 106)
WOBBLE = (0.1, -0.1, 0.05, -0.05, 0.02, -0.02)


def around(mean: float, half: float = 0.1) -> Interval:
    return Interval(mean, mean - half, mean + half, 5)


def network(ratio=0.0, saturated=5.0, error=5.0, half=0.1) -> Measured:
    share = around(saturated, half)
    return Measured(around(ratio, half), share, share, around(error, half))


@pytest.mark.parametrize(
    ("bare", "normed", "verdict"),
    [
        (network(ratio=-4, error=90), network(), SUPPORTED),
        (network(ratio=-1, error=90), network(), CONTRADICTED),  # does not vanish
        (network(ratio=-4, error=15), network(), CONTRADICTED),  # learns all the same
        (network(ratio=-4, error=90), network(ratio=0.8), CONTRADICTED),  # not even with batch norm
        (network(ratio=-4, error=90), network(error=60), CONTRADICTED),  # no cure
        (network(ratio=-2.05, error=90), network(), UNDECIDED),
        (network(ratio=-4, error=90), network(ratio=-0.45), UNDECIDED),
    ],
)
def test_a_network_is_cured_if_all_four_numbers_say_so(bare, normed, verdict):
    part = vanish_and_cure("sigmoid, Xavier", bare, normed)
    assert part.verdict == verdict
    assert len(part.numbers) == 4


def by_depth(*networks: Measured) -> dict[Network, Measured]:
    return {Network("sigmoid", "xavier", depth, "none"): one for depth, one in enumerate(networks, 1)}


@pytest.mark.parametrize(
    ("networks", "verdict"),
    [
        ([network(saturated=0.2, error=90), network(saturated=50, error=15)], CONTRADICTED),
        ([network(saturated=50, error=90), network(saturated=0.2, error=5)], SUPPORTED),
        ([network(saturated=0.2, error=90), network(saturated=0.2, error=5)], UNDECIDED),
        ([network(saturated=50, error=90), network(saturated=50, error=5)], UNDECIDED),
        ([network(saturated=0.95, error=90), network(saturated=50, error=15)], UNDECIDED),
        ([network(saturated=50, error=90)], UNDECIDED),  # nothing to compare with
    ],
)
def test_saturation_is_the_reason_if_networks_fail_where_they_are_saturated(networks, verdict):
    part = because_of_saturation(by_depth(*networks))
    assert part.verdict == verdict
    assert len(part.numbers) == len(networks)


def errors(mean: float, wide: float = 0.0) -> dict[int, float]:
    return {seed: mean + wide * own for seed, own in zip(SEEDS, WOBBLE, strict=True)}


@pytest.mark.parametrize(
    ("linear", "without", "affine", "verdicts"),
    [
        (errors(8.5), errors(8.0), errors(4.0, 1), [SUPPORTED, SUPPORTED]),
        (errors(8.5), errors(4.3), errors(4.0, 1), [CONTRADICTED, CONTRADICTED]),
        (errors(8.5), errors(8.0, 10), errors(7.5), [UNDECIDED, UNDECIDED]),
    ],
)
def test_the_affine_map_is_needed_if_batch_norm_is_worse_without(linear, without, affine, verdicts):
    found = dict.fromkeys(ARMS, affine) | {LINEAR: linear, NO_AFFINE: without, AFFINE: affine}
    parts = affine_needed(found)
    assert [part.verdict for part in parts] == verdicts
    assert set(parts[0].numbers["errors"]) == set(ARMS)


def test_a_ratio_is_that_of_the_hidden_layers():
    line = {
        "gradients": {
            "hidden.0.linear": {"weight": 1e-5},
            "hidden.1.linear": {"weight": 1e-2},
            "classifier": {"weight": 1.0},
        },
        "inputs": {"activations": {"hidden.0.act": {"saturated": 0.2}, "hidden.1.act": {"saturated": 0.6}}},
    }
    assert gradient_ratio(line) == pytest.approx(-3)
    assert saturated(line) == pytest.approx(40)
    line["gradients"]["hidden.0.linear"]["weight"] = 0.0
    assert gradient_ratio(line) == pytest.approx(-36)
    line["inputs"]["activations"]["hidden.0.act"]["saturated"] = None  # what a diverging run has
    assert math.isnan(saturated(line))


def test_nothing_is_judged_on_the_seeds_that_rates_are_chosen_on():
    class Table(dict):
        def __missing__(self, name):
            return self

        def best_value(self, norm):
            return 0.1

    search, judging = (make(Table()) for make in CLAIMS.find("2").rounds)
    assert all(one.search and not one.seeds for one in search)
    assert all(one.seeds >= 5 and not one.search for one in judging)
    assert not any(set(one.axes(100).seeds) & set(SEARCH_SEEDS) for one in judging)
    assert len(judging) == len(NETWORKS) + len(ARMS)
    names = [one.name for one in (*search, *judging)]
    assert len(set(names)) == len(names)


def found(error: float, saturated: float, gradients: tuple[float, ...]) -> SimpleNamespace:
    line = {
        "gradients": {f"hidden.{i}.linear": {"weight": norm} for i, norm in enumerate(gradients)},
        "inputs": {
            "activations": {f"hidden.{i}.act": {"saturated": saturated} for i in range(len(gradients))}
        },
    }
    return SimpleNamespace(
        experiment=SimpleNamespace(values=(0.1,)),
        seeds=lambda: list(SEEDS),
        errors=lambda norm, rate: errors(error, 1),
        probes=lambda norm, rate, seed: [line] if seed == SEEDS[0] else [line, line],  # one diverges
    )


def test_all_parts_are_judged_and_drawn():
    tables = {f"affine_{arm}": found(8.0 if arm != AFFINE else 4.0, 0, ()) for arm in ARMS}
    for one in NETWORKS:
        bad = one.norm == "none" and one.depth == DEEPEST
        tables[one.name] = found(*((90.0, 0.5, (1e-4, 0.1, 1.0)) if bad else (5.0, 0.001, (1.0, 1.1, 1.0))))
    parts = CLAIMS.find("2").judge(tables)
    assert [part.verdict for part in parts] == [SUPPORTED] * 7
    assert "sigmoid, Xavier" in parts[0].name
    figure = CLAIMS.find("2").draw(tables)
    labels = [text.get_text() for text in figure.axes[2].get_yticklabels()]
    assert len(labels) == len(set(labels)) == len(ARMS)
    json.dumps([part.numbers for part in parts], allow_nan=False)
