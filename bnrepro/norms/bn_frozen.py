"""`bn_frozen`: batch norm whose statistics are frozen for the last part of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnrepro.config.ranges import Fraction, Positive
from bnrepro.norms.batch_norm import BatchNorm
from bnrepro.norms.grouped import (
    by_group,
    group_moments,
    merge_groups,
    move_average,
    per_channel,
    require_several_values,
    split_groups,
    unbiased,
)
from bnrepro.norms.processes import average_over_processes
from bnrepro.norms.registry import register
from bnrepro.norms.standardize import Standardize


class FrozenBatchNorm(BatchNorm):
    """Batch norm that trains its last part with the running statistics (Wu & Johnson 2021).

    Up to `freeze_after` of the run (a fraction of its steps): as `bn`. Then, in training as in test,
    y = γ (x − μ) / √(σ² + ε) + β with the running statistics as constants: no gradient runs through them,
    they are not updated any more, and an image's output does not depend on its batch. γ and β go on learning.
    The default 0.8 is the paper's last 20 of 100 epochs.

    In several processes what is frozen is the mean of their running statistics, as one process with all the
    images would have them.

    In evaluation with the batch's own statistics those normalize, also when frozen.

    A warning: what is frozen is the running average of that moment, noise and lag included; the learning rate
    should be small by then, since nothing renormalizes the activations any more.

    `x: (N, C, H, W)` or `(N, C)`. Raises torch's ValueError for one value per channel in training.
    """

    frozen: Tensor

    def __init__(
        self,
        num_channels: int,
        norm_batch_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        freeze_after: float = 0.8,
    ) -> None:
        super().__init__(num_channels, norm_batch_size, eps, momentum)
        self.freeze_after = freeze_after
        # a tensor, so that a captured step sees it change; not saved, since `schedule` sets it every step
        self.register_buffer("frozen", torch.tensor(False), persistent=False)

    def schedule(self, step: int, total_steps: int) -> None:
        """Decide whether step `step` (from 0) of `total_steps` is in the frozen part."""
        begins = self.freeze_after * total_steps
        self.frozen.fill_(step >= begins)
        if step - 1 < begins <= step:
            # each process has averaged over its own images so far; from here on all use the same constants
            average_over_processes(self.running_mean, self.running_var)

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.updates_running):
            return super().forward(x)
        grouped = split_groups(x.to(self.weight.dtype), self.groups(x.shape[0]))
        require_several_values(grouped)
        mean, var = group_moments(grouped)
        live = (~self.frozen).to(mean.dtype)
        y = Standardize.apply(
            grouped,
            torch.where(self.frozen, per_channel(self.running_mean, grouped), mean),
            (torch.where(self.frozen, per_channel(self.running_var, grouped), var) + self.eps).sqrt(),
            per_channel(self.weight, grouped),
            per_channel(self.bias, grouped),
            live,
        )
        self.observe(by_group(mean), by_group(var))
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            new_weight = self.momentum * live
            move_average(self.running_mean, by_group(mean).mean(0), new_weight)
            move_average(self.running_var, by_group(unbiased(var, grouped)).mean(0), new_weight)
        return merge_groups(y).to(x.dtype)


@register("bn_frozen", batch_statistics=True)
def bn_frozen(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.1,
    freeze_after: Fraction = 0.8,
) -> nn.Module:
    """Batch norm, frozen for the last part of training; see `FrozenBatchNorm`."""
    return FrozenBatchNorm(num_channels, norm_batch_size, eps, momentum, freeze_after)
