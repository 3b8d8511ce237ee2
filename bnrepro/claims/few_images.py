"""The experiments of claim 5.2, and what is read from their probes: the test error at equal training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.found import Found
from bnrepro.sweep.axis import Number

BASE = "claims/few_images"
RATES = (0.01, 0.03, 0.1, 0.3)
SEEDS = 10
LOSS = 0.01
"""Of the training images in evaluation: when it first is so low, arms are compared."""
SGD_BATCH, IMAGES = 60, 300
GROUPS = (20, 10, 5, 3)
DROPOUT = (0.2, 0.5)


def first_rates(tables: Tables) -> Sequence[Experiment]:
    """With, without, and with statistics of all training images, at every rate."""
    shared: dict[str, Any] = {"seeds": SEEDS, "key": "optimizer.base_lr", "search": True}
    whole = (f"protocol.norm_batch_size={IMAGES}",)
    return [
        Experiment("few_images", BASE, ("bn", "none"), RATES, **shared),
        Experiment("few_images_without_noise", BASE, ("bn",), RATES, overrides=whole, **shared),
    ]


def everything(tables: Tables) -> Sequence[Experiment]:
    """More noise, by smaller groups and by dropout, at the rate that is best without a norm."""
    rate = f"optimizer.base_lr={best_rates(tables)['none']!r}"
    ghost = ("protocol=fixed_sgd", f"protocol.sgd_batch_size={SGD_BATCH}", rate)
    return [
        Experiment("few_images_groups", BASE, ("bn",), GROUPS, SEEDS, overrides=ghost),
        Experiment(
            *("few_images_dropout", BASE, ("bn", "none"), DROPOUT, SEEDS),
            key="model.dropout",
            overrides=(rate,),
        ),
    ]


def best_rates(tables: Tables) -> dict[str, Number]:
    """Each arm's, by the last error on the seeds of the search."""
    return {norm: tables["few_images"].best_value(norm) for norm in ("bn", "none")}


def at_loss(found: Found, norm: str, x: Number, *, search: bool = False) -> dict[int, float]:
    """Seed -> test error in percent when the training loss first reaches `LOSS`, of those that reach it."""
    errors = {seed: error_at_loss(found.probes(norm, x, seed)) for seed in found.seeds(search=search)}
    return {seed: error for seed, error in errors.items() if error is not None}


def error_at_loss(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """The same of the lines of one probes.jsonl; None where the loss is never reached."""
    for line in lines:
        train, test = line["errors"]["train"], line["errors"]["test"]
        if train["loss"] is not None and train["loss"] <= LOSS:
            return float(test["error"])
    return None
