"""The experiments of claim 2 on γ and β: batch norm with parts of its affine map."""

from __future__ import annotations

from collections.abc import Sequence

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import Experiment
from bnrepro.sweep.axis import Number

RATES = (0.03, 0.1, 0.3, 1.0)
SEEDS = 6
FIXED = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Values of a γ that is not learned, without β; 1 is batch norm without affine map."""
LINEAR, AFFINE, WEIGHT, BIAS = "linear", "weight_and_bias", "weight", "bias"


def fixed(weight: Number) -> str:
    return f"fixed_{weight:g}"


NO_AFFINE = fixed(1)
ARMS: dict[str, tuple[str, ...]] = {
    LINEAR: ("model.activation=identity",),
    **{fixed(weight): ("norm.affine=none", f"norm.initial_weight={weight!r}") for weight in FIXED},
    BIAS: ("norm.affine=bias",),
    WEIGHT: ("norm.affine=weight",),
    AFFINE: (),
}
"""Every arm has batch norm; the overrides that make it."""


def rates(tables: Tables) -> Sequence[Experiment]:
    return [
        Experiment(
            f"affine_{arm}_rates",
            "claims/affine",
            ("bn",),
            RATES,
            seeds=0,
            key="optimizer.base_lr",
            overrides=options,
            search=True,
        )
        for arm, options in ARMS.items()
    ]


def at_best_rates(tables: Tables) -> Sequence[Experiment]:
    return [
        Experiment(
            f"affine_{arm}",
            "claims/affine",
            ("bn",),
            (best_rate(tables, arm),),
            seeds=SEEDS,
            key="optimizer.base_lr",
            overrides=options,
        )
        for arm, options in ARMS.items()
    ]


def best_rate(tables: Tables, arm: str) -> Number:
    """Of the least mean error on the search's seeds."""
    return tables[f"affine_{arm}_rates"].best_value("bn")


def errors(tables: Tables, arm: str) -> dict[int, float]:
    """Seed -> test error in percent."""
    found = tables[f"affine_{arm}"]
    (rate,) = found.experiment.values
    return found.errors("bn", rate)
