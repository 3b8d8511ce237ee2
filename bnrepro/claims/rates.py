"""The experiment that claims 5.1 and 5.3 share: every rate from 2^-11 to 2^4, with and without norms."""

from __future__ import annotations

from collections.abc import Sequence

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.found import Found

NORMS = ("bn", "none", "ln")
RATES = tuple(2.0**power for power in range(-11, 5))
SMOOTHED = 3
"""Evaluations in a row whose mean counts: one alone is noise."""
STEPS_APART = 10


def experiments(tables: Tables) -> Sequence[Experiment]:
    return [Experiment("rates", "claims/rates", NORMS, RATES, seeds=5, key="optimizer.base_lr", search=True)]


def smoothed_errors(found: Found, norm: str, rate: float, seed: int) -> list[float]:
    """The error after 30, 40 … steps, each the mean of three evaluations; 100 after a divergence."""
    errors = [line["error"]["running"] for line in found.metrics(norm, rate, seed)]
    if found.statuses(norm, rate)[seed] != "completed":
        return [100.0]
    return [sum(errors[i : i + SMOOTHED]) / SMOOTHED for i in range(len(errors) - SMOOTHED + 1)]


def steps_to(found: Found, norm: str, rate: float, seed: int, error: float) -> float:
    """Training steps until the smoothed error is at most `error` percent; infinite where it never is."""
    for i, value in enumerate(smoothed_errors(found, norm, rate, seed)):
        if value <= error:
            return float((i + SMOOTHED) * STEPS_APART)
    return float("inf")
