"""The experiments of claim 6.2: LSTMs, evaluated with other statistics and after blank steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.found import Found
from bnrepro.claims.trained import errors_after_blank_steps, trained
from bnrepro.norms.batch_statistics import buffers_of_kind
from bnrepro.sweep.axis import Number

NORMS = ("bn", "none", "ln")
RATES = {8: (0.005, 0.015, 0.045, 0.135), 16: (0.005, 0.015, 0.045, 0.135), 64: (0.005, 0.015, 0.045)}
"""Time steps -> the rates of the search."""
SEEDS = {8: 5, 16: 5, 64: 3}
"""Time steps -> judging seeds."""
SLOW = 64
HIDDEN = 32
BLANK_STEPS = (0, 1, 2, 4)

WAYS = {
    "no norm": ("none", "running"),
    "layer norm": ("ln", "running"),
    "per step, precise": ("bn", "precise"),
    "per step, running": ("bn", "running"),
    "batch's own": ("bn", "batch"),
    "pooled": ("shared", "precise"),
    "shared, running": ("shared", "running"),
}
"""What is compared -> its arm, and the statistics it is evaluated with.

Training normalizes with the statistics of the batch at that step, whichever are kept for evaluation: the
arms `bn` and `shared` are the same weights.
"""
Errors = Mapping[int, float]
"""Seed -> test error in percent."""


def rates(tables: Tables) -> Sequence[Experiment]:
    """Every rate for every length, on the seeds of the search."""
    return [
        Experiment(
            *(f"lstm_{steps}_rates", "claims/lstm", NORMS, RATES[steps]),
            seeds=0,
            key="optimizer.base_lr",
            overrides=(f"model.steps={steps}",),
            search=True,
            slow=steps == SLOW,
        )
        for steps in SEEDS
    ]


def judging(tables: Tables) -> Sequence[Experiment]:
    """Each arm at its best rate; shared statistics at that of batch norm, whose weights they are."""
    return [
        Experiment(
            *(name(steps, arm), "claims/lstm", (norm_of(arm),), (best_rate(tables, steps, norm_of(arm)),)),
            seeds=seeds,
            key="optimizer.base_lr",
            overrides=(f"model.steps={steps}", *(["model.statistics=shared"] if arm == "shared" else [])),
            slow=steps == SLOW,
        )
        for steps, seeds in SEEDS.items()
        if f"lstm_{steps}_rates" in tables
        for arm in (*NORMS, "shared")
    ]


def best_rate(tables: Tables, steps: int, norm: str) -> Number:
    """With the least mean error, batch norm's under precise statistics."""
    statistics = "precise" if norm == "bn" else "running"
    return tables[f"lstm_{steps}_rates"].best_value(norm, statistics)


def name(steps: int, arm: str) -> str:
    return f"lstm_{steps}_{arm}"


def norm_of(arm: str) -> str:
    return "bn" if arm == "shared" else arm


def lengths(tables: Tables) -> list[int]:
    """The numbers of time steps that were run."""
    return [steps for steps in SEEDS if name(steps, "bn") in tables]


def errors(tables: Tables, steps: int, way: str) -> Errors:
    arm, statistics = WAYS[way]
    found = tables[name(steps, arm)]
    return found.errors(norm_of(arm), found.experiment.values[0], statistics)


def blank_step_costs(tables: Tables, steps: int, way: str) -> dict[int, list[float]]:
    """Seed -> by how many points the error rises with each of `BLANK_STEPS` in front."""
    arm, statistics = WAYS[way]
    return _costs(tables[name(steps, arm)], norm_of(arm), statistics)


@cache
def _costs(found: Found, norm: str, statistics: str) -> dict[int, list[float]]:
    costs = {}
    for seed in found.seeds():
        session = trained(found, norm, found.experiment.values[0], seed)
        after = errors_after_blank_steps(session, statistics, BLANK_STEPS)
        costs[seed] = [error - after[0] for error in after]
    return costs


def statistics_floats(tables: Tables, steps: int, arm: str) -> tuple[int, int]:
    """Numbers in the buffers of the statistics, and in what is trained, counted in a trained network."""
    found = tables[name(steps, arm)]
    model = trained(found, norm_of(arm), found.experiment.values[0], found.seeds()[0]).trainer.model
    trains = [weight for weight in model.parameters() if weight.requires_grad]
    return sum(one.numel() for one in buffers_of_kind(model, "averages")), sum(one.numel() for one in trains)
