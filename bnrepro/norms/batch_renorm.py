"""`brn`: batch renormalization, which corrects the batch's statistics towards the running ones."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from bnrepro.config.ranges import Fraction, Positive, Range, StepsOrNull
from bnrepro.norms.batch_norm import BatchNorm
from bnrepro.norms.grouped import (
    by_group,
    group_moments,
    merge_groups,
    per_channel,
    require_several_values,
    split_groups,
    unbiased,
)
from bnrepro.norms.registry import register
from bnrepro.norms.standardize import Standardize

PAPER_STEPS = 130_000
"""Length of the paper's baseline run (Ioffe 2017)."""
PAPER_SCHEDULE = {"start_step": 5_000, "r_max_step": 40_000, "d_max_step": 25_000}
"""Its schedule of the clipping bounds, in steps of that run."""


class BatchRenorm(BatchNorm):
    """Batch renormalization (Ioffe 2017, Algorithm 1) over groups of `norm_batch_size` images.

    Training: y = γ ((x − μ_B) / σ_B · r + d) + β with σ_B = √(σ²_B + ε), r = σ_B / σ clipped to
    [1 / r_max, r_max] and d = (μ_B − μ) / σ clipped to [−d_max, d_max], both constants for the backward
    pass; μ and σ = √(σ² + ε) are the running statistics before this step's update. Where nothing is clipped
    y = γ (x − μ) / σ + β: what the test computes, but with gradients through μ_B and σ_B. Test: as `bn`.

    r_max and d_max are 1 and 0, plain batch norm, up to `start_step`, and rise linearly to their values at
    `r_max_step` and `d_max_step`. The paper's: 5,000, 40,000 and 25,000 steps; None scales them by the run's
    length over the paper's 130,000. `momentum` 0.01 is the paper's α.

    As in `bn` the running variance is an average of unbiased variances (the paper averages σ_B), and all
    groups share the running statistics, as the paper's workers do. In evaluation with
    the batch's own statistics r = 1, d = 0.

    A warning: it narrows the gap of small batches and does not close it (the paper's batches of 4 stay 1.8
    points behind those of 32), and with a high learning rate r_max must rise slowly. In a run of some hundred
    steps the running statistics lag behind at 0.01: take a larger `momentum`.

    `x: (N, C, H, W)` or `(N, C)`. Raises torch's ValueError for one value per channel in training.
    """

    r_max: Tensor
    d_max: Tensor

    def __init__(
        self,
        num_channels: int,
        norm_batch_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.01,
        r_max: float = 3.0,
        d_max: float = 5.0,
        start_step: int | None = None,
        r_max_step: int | None = None,
        d_max_step: int | None = None,
    ) -> None:
        super().__init__(num_channels, norm_batch_size, eps, momentum)
        self.steps = {"start_step": start_step, "r_max_step": r_max_step, "d_max_step": d_max_step}
        self.final_r_max = r_max
        self.final_d_max = d_max
        # tensors, so that a captured step sees them change; not saved, since `schedule` sets them every step
        self.register_buffer("r_max", torch.ones(()), persistent=False)
        self.register_buffer("d_max", torch.zeros(()), persistent=False)

    def schedule(self, step: int, total_steps: int) -> None:
        """Set the bounds for step `step` (from 0) of `total_steps`."""
        at = {
            key: PAPER_SCHEDULE[key] * total_steps / PAPER_STEPS if value is None else value
            for key, value in self.steps.items()
        }
        self.r_max.fill_(1 + _rise(step, at["start_step"], at["r_max_step"]) * (self.final_r_max - 1))
        self.d_max.fill_(_rise(step, at["start_step"], at["d_max_step"]) * self.final_d_max)

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.updates_running):
            return super().forward(x)
        grouped = split_groups(x.to(self.weight.dtype), self.groups(x.shape[0]))
        require_several_values(grouped)
        mean, var = group_moments(grouped)
        std = (var + self.eps).sqrt()
        r, d = self._correction(mean, std, grouped)
        weight = per_channel(self.weight, grouped)
        bias = per_channel(self.bias, grouped)
        # y = γ (x̂ r + d) + β = (γ r) x̂ + (γ d + β)
        y = Standardize.apply(grouped, mean, std, weight * r, weight * d + bias, torch.ones_like(self.r_max))
        self.observe(by_group(mean), by_group(var))
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.update_running(by_group(mean), by_group(unbiased(var, grouped)))
        return merge_groups(y).to(x.dtype)

    @torch.no_grad()
    def _correction(self, mean: Tensor, std: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """r and d of every group, `(groups, 1, C, 1, ...)`."""
        running_mean = per_channel(self.running_mean, x)
        running_std = (per_channel(self.running_var, x) + self.eps).sqrt()
        r = torch.clamp(std / running_std, 1 / self.r_max, self.r_max)
        d = torch.clamp((mean - running_mean) / running_std, -self.d_max, self.d_max)
        return r, d


def _rise(step: int, start: float, end: float) -> float:
    """0 up to `start`, 1 from `end` on, linear between."""
    if step < start:
        return 0.0
    return 1.0 if step >= end else (step - start) / (end - start)


@register("brn", batch_statistics=True)
def brn(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.01,
    r_max: Annotated[float, Range(1)] = 3.0,
    d_max: Annotated[float, Range(0)] = 5.0,
    start_step: StepsOrNull = None,
    r_max_step: StepsOrNull = None,
    d_max_step: StepsOrNull = None,
) -> nn.Module:
    """Batch renormalization; see `BatchRenorm`."""
    return BatchRenorm(
        num_channels, norm_batch_size, eps, momentum, r_max, d_max, start_step, r_max_step, d_max_step
    )
