"""The experiment that claims 5.1 and 5.3 share: every rate from 2^-11 to 2^4, with and without norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import CIFAR10, DIGITS, Experiment
from bnrepro.claims.found import Found

NORMS = ("bn", "none", "ln")
RATES = tuple(2.0**power for power in range(-11, 5))
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


def smoothed_errors(found: Found, norm: str, rate: float, seed: int) -> dict[int, float]:
    """Step -> the mean error of the three evaluations up to it; nothing after a divergence."""
    if found.statuses(norm, rate)[seed] != "completed":
        return {}
    lines = found.metrics(norm, rate, seed)
    errors = [line["error"]["running"] for line in lines]
    return {
        lines[last]["step"]: sum(errors[last + 1 - SMOOTHED : last + 1]) / SMOOTHED
        for last in range(SMOOTHED - 1, len(lines))
    }


def steps_to(found: Found, norm: str, rate: float, seed: int, error: float) -> float:
    """Training steps until the smoothed error is at most `error` percent; infinite where it never is."""
    steps = smoothed_errors(found, norm, rate, seed).items()
    return float(next((step for step, value in steps if value <= error), "inf"))
