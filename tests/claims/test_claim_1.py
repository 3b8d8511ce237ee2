"""Batch norm would be said to keep inputs steady, or to work by that, where the numbers say otherwise."""

from types import SimpleNamespace

import pytest

from bnrepro.claims import CLAIMS
from bnrepro.claims.claim_1 import gradient_shift_reduced, steadier, the_same, why
from bnrepro.claims.experiment import DIGITS
from bnrepro.claims.shifted import (
    NETS,
    RATES,
    gradient_shift,
    learning_rates,
    moved_in_a_step,
    phases,
)
from bnrepro.claims.verdict import CONTRADICTED, SUPPORTED, UNDECIDED

SEEDS = range(100, 105)
WOBBLE = (0.02, -0.02, 0.01, -0.01, 0.0)


def around(mean: float, wide: float = 1.0) -> dict[int, float]:
    return {seed: mean * (1 + wide * own) for seed, own in zip(SEEDS, WOBBLE, strict=True)}


@pytest.mark.parametrize(
    ("bn", "verdict"),
    [
        ({0.1: around(0.2), 0.3: around(0.3)}, SUPPORTED),
        ({0.1: around(0.2), 0.3: around(0.8)}, CONTRADICTED),
        ({0.1: around(0.2), 0.3: around(0.5)}, UNDECIDED),
        ({}, UNDECIDED),
    ],
)
def test_it_is_steadier_if_it_is_at_every_rate(bn, verdict):
    none = {rate: around(1.0, 0) for rate in bn}
    part = steadier(none, bn, none, "sigmoid")
    assert part.verdict == verdict
    assert set(part.numbers["ratio"]) == {f"rate {rate:g}" for rate in bn}
    assert all(one["mean"] == pytest.approx(1) for one in part.numbers["what enters BN"].values())


@pytest.mark.parametrize(
    ("last", "verdict"), [(around(0.05), SUPPORTED), (around(0.2), CONTRADICTED), (around(0.1), UNDECIDED)]
)
def test_inputs_are_the_same_if_no_layer_moves(last, verdict):
    first = around(0.01)
    part = the_same({0.1: {seed: [first[seed], last[seed]] for seed in SEEDS}}, "sigmoid")
    assert part.verdict == verdict
    assert part.numbers["rate 0.1, layer 2"]["mean"] == pytest.approx(sum(last.values()) / 5)


@pytest.mark.parametrize(
    ("early", "verdict"),
    [(0.5, SUPPORTED), (1.0, UNDECIDED), (0.8, UNDECIDED), (1.25, UNDECIDED), (1.5, CONTRADICTED)],
)
def test_gradients_shift_less_if_they_do_in_both_phases(early, verdict):
    ratios = {0.1: {"first quarter": around(early), "rest": around(0.5)}}
    assert gradient_shift_reduced(ratios, "sigmoid").verdict == verdict
    assert gradient_shift_reduced({}, "sigmoid").verdict == UNDECIDED


@pytest.mark.parametrize(
    ("noisy", "error", "verdict"),
    [
        (2.0, around(0.5), CONTRADICTED),  # moves more, learns as well
        (2.0, around(2.0), SUPPORTED),  # moves more, learns worse
        (2.0, around(1.0), UNDECIDED),
        (0.5, around(0.5), UNDECIDED),  # no control: its inputs move less
        (1.0, around(0.5), UNDECIDED),
    ],
)
def test_steadiness_is_the_reason_unless_noisy_inputs_do_as_well(noisy, error, verdict):
    drift = {"none": around(1.0, 0), "bn_noisy": around(noisy)}
    assert why(drift, error, "sigmoid", "in one step").verdict == verdict
    assert why({}, {}, "sigmoid", "in one step").verdict == UNDECIDED


def lines(shifts: dict[int, tuple], drift: float = 1.0) -> list[dict]:
    """probes.jsonl: step -> relative l2 of each layer, and the last step."""
    inputs = {
        place: {"hidden.0": {"distance": drift / 2}, "hidden.1": {"distance": drift}} for place in PLACES
    }
    moves = {"activations": {"hidden.0": {"distance": 9.0}, "hidden.1": {"distance": drift / 10}}}
    measured = [
        {
            "step": step,
            "inputs": inputs,
            "moves": moves,
            "shift": {str(n): {"relative_l2": value} for n, value in enumerate(values)},
        }
        for step, values in shifts.items()
    ]
    return [*measured, {"step": 400, "inputs": inputs, "moves": {}, "shift": {}}]


PLACES = ("activations", "norms")


def test_gradient_shifts_are_compared_at_the_same_step_and_layer():
    bn = lines({0: (1.0, 8.0), 99: (2.0, 2.0), 100: (5.0, None), 300: (0.0, 5.0)})
    none = lines({0: (2.0, 1.0), 99: (1.0, 1.0), 100: (1.0, 7.0), 300: (3.0, 1.0)})
    both = phases(bn)
    assert {name: (steps.start, steps.stop) for name, steps in both.items()} == {
        "first quarter": (0, 100),
        "rest": (100, 400),
    }
    assert gradient_shift(bn, none, both["first quarter"]) == pytest.approx((0.5 * 8 * 2 * 2) ** 0.25)
    assert gradient_shift(bn, none, both["rest"]) == pytest.approx(5.0)


def test_a_move_in_a_step_is_the_last_layers_mean():
    assert moved_in_a_step(lines({0: (1.0,), 100: (1.0,)}, drift=2.0)) == pytest.approx(0.2)


def found(errors: dict, drift: dict, shift: dict) -> SimpleNamespace:
    def probes(norm, rate, seed):
        wobble = 1 + WOBBLE[seed - 100]
        return lines(dict.fromkeys((0, 50, 200, 300), (shift[norm] * wobble,) * 2), drift[norm] * wobble**2)

    return SimpleNamespace(
        experiment=SimpleNamespace(data=DIGITS),
        seeds=lambda: list(SEEDS),
        errors=lambda norm, rate: around(errors.get((norm, rate), errors[norm]), 0),
        probes=probes,
    )


def test_rates_at_which_an_arm_fails_are_left_out():
    """A network that learns nothing does not move: it would count as steady."""
    diverged = found({"bn": 3.0, "none": 5.0, "bn_noisy": 3.2, ("none", RATES[-1]): 90.0}, {}, {})
    assert learning_rates(diverged) == list(RATES[:-1])
    assert learning_rates(diverged, ("bn", "bn_noisy")) == list(RATES)


def test_the_figure_has_drift_and_gradient_shift_of_both_networks():
    values = {"bn": 0.2, "none": 1.0, "bn_noisy": 1.5}
    axes = CLAIMS.find("1").draw({net.experiment: found({}, values, values) for net in NETS}).axes
    assert [ax.get_title() for ax in axes] == 2 * [net.label for net in NETS]
    assert [len(ax.lines) for ax in axes] == [5, 5, 3, 3]
    assert [ax.get_legend() is not None for ax in axes] == [True, False, False, False]
    assert axes[0].lines[0].get_ydata()[-1] == pytest.approx(0.2, rel=0.01)


def test_every_part_is_judged_for_both_networks():
    errors = {"bn": 3.0, "none": 5.0, "bn_noisy": 3.2}
    drift = {"bn": 0.2, "none": 1.0, "bn_noisy": 1.5}
    shift = {"bn": 0.5, "none": 1.0, "bn_noisy": 1.0}
    tables = {net.experiment: found(errors, drift, shift) for net in NETS}
    parts = CLAIMS.find("1").judge(tables)
    verdicts = [SUPPORTED, CONTRADICTED, SUPPORTED, CONTRADICTED, CONTRADICTED]
    assert [part.verdict for part in parts] == 2 * verdicts
    assert all("no rate" not in part.found for part in parts)
