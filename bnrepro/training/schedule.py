"""The learning rate of every step. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable

from bnrepro.config.schema import OptimizerConfig, ScheduleConfig

REFERENCE_BATCH = 256
"""`optimizer.base_lr` is the rate at this many images per step (Goyal et al. 2017, §2.1)."""


def scaled_lr(optimizer: OptimizerConfig, sgd_batch_size: int) -> float:
    """The peak learning rate at `sgd_batch_size` images per step."""
    ratio = sgd_batch_size / REFERENCE_BATCH
    factor = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[optimizer.scaling]
    return optimizer.base_lr * factor


def lr_schedule(
    schedule: ScheduleConfig, unscaled: float, peak: float, epochs: int, steps_per_epoch: int
) -> Callable[[int], float]:
    """The rate as a function of the step, counted from 0 over the whole run.

    `cosine` falls from `peak` to 0 at the last epoch's end, step by step (Loshchilov & Hutter 2017, Eq. 5);
    `step` multiplies by `gamma` after each of `milestones`. Warm-up is part of the run's epochs and Goyal et
    al.'s (2017, §2.2): linear from the `unscaled` rate (`optimizer.base_lr`, that of 256 images) at the first
    step to `peak` at the end of `warmup_epochs`. A peak that is not above the unscaled rate needs none.
    """
    warm = peak > max(unscaled, schedule.warmup_above_lr)
    warmup = schedule.warmup_epochs * steps_per_epoch if warm else 0.0
    total = epochs * steps_per_epoch

    def rate(step: int) -> float:
        if step < warmup:
            return unscaled + (peak - unscaled) * step / warmup
        if schedule.name == "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        passed = sum(step >= round(m * steps_per_epoch) for m in schedule.milestones)
        return peak * schedule.gamma**passed

    return rate
