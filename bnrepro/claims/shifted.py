"""The experiments of claim 1, and what is read from their probes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import CIFAR10, DIGITS, Experiment
from bnrepro.claims.found import Found

NORMS = ("bn", "none", "bn_noisy")
RATES = (0.03, 0.1, 0.3)
SEEDS = 5
LEARNED = {DIGITS: 20.0, CIFAR10: 75.0}
"""Test error in percent below which a network has learned."""
Line = Mapping[str, Any]
"""An object of probes.jsonl."""
BySeed = dict[int, float]


@dataclass(frozen=True)
class Net:
    """A network that the claim is tested on."""

    name: str
    """Its activation, which names its experiment too."""
    label: str
    overrides: tuple[str, ...] = ()

    @property
    def experiment(self) -> str:
        return f"shift_{self.name}"


NETS = (
    Net("sigmoid", "sigmoid 3 × 100"),
    Net("relu", "ReLU 4 × 100", ("model.activation=relu", "model.depth=4")),
)


def experiments(tables: Tables) -> Sequence[Experiment]:
    return [
        Experiment(
            *(net.experiment, "claims/shift", NORMS, RATES, SEEDS),
            key="optimizer.base_lr",
            overrides=net.overrides,
        )
        for net in NETS
    ]


def learning_rates(found: Found, norms: Sequence[str] = ("bn", "none")) -> list[float]:
    """Those at which every seed of every one of `norms` has learned."""
    bound = LEARNED[found.experiment.data]
    return [
        rate
        for rate in RATES
        if all(
            len(errors) == len(found.seeds()) and max(errors.values()) < bound
            for errors in (found.errors(norm, rate) for norm in norms)
        )
    ]


def drifts(line: Line, place: str = "activations") -> list[float]:
    """Of what enters the activations, or the `norms`, layer by layer: the distance to step 0, in sd."""
    return [float(layer["distance"]) for layer in line["inputs"][place].values()]


def last_drifts(found: Found, norm: str, rate: float, place: str = "activations") -> dict[int, list[float]]:
    """Seed -> that of every layer after the last step."""
    return {seed: drifts(found.probes(norm, rate, seed)[-1], place) for seed in found.seeds()}


def top(of_layers: Mapping[int, Sequence[float]]) -> BySeed:
    """The last layer's."""
    return {seed: layers[-1] for seed, layers in of_layers.items()}


def moved_in_a_step(lines: Sequence[Line]) -> float:
    """How far what enters the last activation moves in a step: the mean over the steps looked at, in sd."""
    moves = [list(line["moves"]["activations"].values())[-1]["distance"] for line in lines if line["moves"]]
    return float(sum(moves) / len(moves))


def step_moves(found: Found, norm: str, rate: float) -> BySeed:
    return {seed: moved_in_a_step(found.probes(norm, rate, seed)) for seed in found.seeds()}


def gradient_shift(of: Sequence[Line], by: Sequence[Line], steps: range) -> float:
    """The ratio of two runs' relative l2 of the probe `shift`.

    The geometric mean over every step of `steps` that was looked at and every layer.
    """
    logs = [
        math.log(one / other)
        for line, against in zip(of, by, strict=True)
        if line["step"] in steps
        for one, other in _pairs(line["shift"], against["shift"])
    ]
    return math.exp(sum(logs) / len(logs))


def _pairs(one: Line, other: Line) -> Iterator[tuple[float, float]]:
    for layer in one:
        pair = one[layer]["relative_l2"], other[layer]["relative_l2"]
        if all(pair):  # a layer without gradient has none, and one of size 0 no logarithm
            yield pair


def phases(lines: Sequence[Line]) -> dict[str, range]:
    """The first quarter of the training steps and the rest."""
    last = lines[-1]["step"]
    return {"first quarter": range(last // 4), "rest": range(last // 4, last)}


def gradient_shifts(found: Found, rate: float) -> dict[str, BySeed]:
    """Phase -> seed -> batch norm's over that without a norm."""
    ratios: dict[str, BySeed] = {}
    for seed in found.seeds():
        bn, none = (found.probes(norm, rate, seed) for norm in ("bn", "none"))
        for phase, steps in phases(bn).items():
            ratios.setdefault(phase, {})[seed] = gradient_shift(bn, none, steps)
    return ratios


def mean_over(values: Sequence[BySeed]) -> BySeed:
    """Seed -> the arithmetic mean, of the rates for example."""
    return {seed: sum(each[seed] for each in values) / len(values) for seed in values[0]} if values else {}
