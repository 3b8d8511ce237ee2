"""The rates of claims 5.1 and 5.3: every one from 2^-11 to 2^4, with and without norms; steps to an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import CIFAR10, DIGITS, SEARCH_SEEDS, Experiment
from bnrepro.claims.found import Found

NORMS = ("bn", "none", "ln")
RATES = tuple(2.0**power for power in range(-11, 5))
CLOSE_STEPS = 400
"""How far the closer look goes."""
SMOOTHED = 3
"""Evaluations in a row whose mean counts: one alone is noise."""


@dataclass(frozen=True)
class Bounds:
    """Errors in percent that mean something on this data, set from seeds below 100."""

    fast: float
    """Reached by every arm: what 5.1 counts the steps to."""
    usable: float
    """Below it a network has learned."""
    unusable: float
    """Above it, it has not."""


BOUNDS = {DIGITS: Bounds(5.0, 10.0, 50.0), CIFAR10: Bounds(65.0, 65.0, 85.0)}


def bounds(found: Found) -> Bounds:
    return BOUNDS[found.experiment.data]


def experiments(tables: Tables) -> Sequence[Experiment]:
    return [Experiment("rates", "claims/rates", NORMS, RATES, seeds=5, key="optimizer.base_lr", search=True)]


def closer_look(tables: Tables) -> Sequence[Experiment]:
    """On CIFAR-10 the first 400 steps again, with a look every 10 as on digits, at rates that need no more.

    Its evaluations are 100 steps apart: the fastest arms are all there at the first.
    """
    found = tables["rates"]
    if found.experiment.data != CIFAR10:
        return []
    return [
        Experiment(
            *(close(norm), "claims/close_rates_cifar10", (norm,), rates, 5),
            key="optimizer.base_lr",
            search=True,
            data=CIFAR10,
        )
        for norm in NORMS
        if (rates := tuple(rate for rate in RATES if _soon(found, norm, rate)))
    ]


def close(norm: str) -> str:
    """The name of its experiment."""
    return f"close_rates_{norm}"


def _soon(found: Found, norm: str, rate: float) -> bool:
    """Is every seed of the search there within the steps that are looked at closely?"""
    error = bounds(found).fast
    return all(steps_to(found, norm, rate, seed, error) <= CLOSE_STEPS for seed in SEARCH_SEEDS)


def smoothed_errors(found: Found, norm: str, rate: float, seed: int) -> dict[int, float]:
    """Step -> the mean test error of the three looks up to it; nothing after a divergence."""
    if found.statuses(norm, rate)[seed] != "completed":
        return {}
    looks = _looks(found, norm, rate, seed)
    errors = [error for _, error in looks]
    return {
        looks[last][0]: sum(errors[last + 1 - SMOOTHED : last + 1]) / SMOOTHED
        for last in range(SMOOTHED - 1, len(looks))
    }


def _looks(found: Found, norm: str, rate: float, seed: int) -> list[tuple[int, float]]:
    """Step and test error of every evaluation, or of the probe that looks more often."""
    if found.experiment.name == close(norm):
        lines = found.probes(norm, rate, seed)
        return [(line["step"], line["errors"]["test"]["error"]) for line in lines]
    return [(line["step"], line["error"]["running"]) for line in found.metrics(norm, rate, seed)]


def steps_to(found: Found, norm: str, rate: float, seed: int, error: float) -> float:
    """Training steps until the smoothed error is at most `error` percent; infinite where it never is."""
    steps = smoothed_errors(found, norm, rate, seed).items()
    return float(next((step for step, value in steps if value <= error), "inf"))


def at_first_look(found: Found, norm: str, rate: float, seed: int, error: float) -> bool:
    """Is the smoothed error as low at the first look? Then the steps are at most those of `steps_to`."""
    return next(iter(smoothed_errors(found, norm, rate, seed).values()), math.inf) <= error
