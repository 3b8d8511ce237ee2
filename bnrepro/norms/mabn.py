"""`mabn`: moving-average batch normalization, with averaged statistics also in the backward pass."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from bnrepro.config.ranges import Count, Fraction, Positive, Range, Steps, StepsOrNull
from bnrepro.norms.batch_statistics import BatchStatistics, check_norm_batch_size
from bnrepro.norms.grouped import (
    by_group,
    group_dims,
    merge_groups,
    move_average,
    per_channel,
    split_groups,
    values_per_group,
)
from bnrepro.norms.registry import register


class CentralizedConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0: W − mean of W over input channels, height and width.

    Stands in for the subtraction of the mean that MABN leaves out (Yan et al. 2020).
    """

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


def window_means(history: Tensor, own: Tensor) -> Tensor:
    """For every row of `own: (groups, C)` the mean over itself and the rows before it.

    The window is as long as `history: (window − 1, C)`, the rows before the first of `own`, and one more.
    """
    return torch.cat([history, own]).unfold(0, len(history) + 1, 1).mean(-1)


@torch.no_grad()
def remember(history: Tensor, own: Tensor) -> None:
    """Keep the latest rows, in place."""
    history.copy_(torch.cat([history, own])[len(own) :])


class MovingAverageFunction(Function):
    """y = γ r z + β with z = x / χ, for `x: (groups, images, C, ...)`.

    χ (the averaged √(second moment + ε)) and r are `(groups, 1, C, 1, ...)` and given. The backward pass is
    the paper's and not the gradient of that:

        ∂l/∂x = (1/χ) · (g − z ψ̄),  g = ∂l/∂y · γ r

    where ψ̄ is the mean of ψ_B = mean(g z) over the window of groups. It writes each ψ_B into `history`. Where
    `averaging` is False ψ̄ = ψ_B, and with the group's own χ that is the gradient.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor, chi: Tensor, r: Tensor, history: Tensor, averaging: Tensor
    ) -> Tensor:
        return torch.addcmul(bias, x, weight * r / chi)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, weight, _, chi, r, history, averaging = inputs
        ctx.save_for_backward(x, weight, chi, r, history, averaging)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_y = grads[0]
        x, weight, chi, r, history, averaging = ctx.saved_tensors
        dims = group_dims(x)
        z = x / chi
        mean_gz = (grad_y * z).mean(dims, keepdim=True)
        scale = weight * r
        psi = by_group(scale * mean_gz)  # ψ_B = (1/m) Σ g z
        psi_bar = torch.where(averaging, window_means(history, psi), psi)
        remember(history, psi)
        grad_x = torch.addcmul(grad_y * (scale / chi), z, -per_channel(psi_bar, x) / chi)
        grad_weight = (r * mean_gz).sum(0, keepdim=True) * values_per_group(x)
        grad_bias = grad_y.sum((0, *dims), keepdim=True)
        return grad_x, grad_weight, grad_bias, None, None, None, None


class MovingAverageBatchNorm(BatchStatistics):
    """Moving-average batch normalization (Yan et al. 2020) over groups of `norm_batch_size` images.

    It divides by the root of a second moment, needs no mean (the convolutions are centralized instead), and
    averages the noisy batch statistics of both passes over the last `window` groups. Training:

        y = γ r x / √(χ̄² + ε) + β,  r = √(χ̄² + ε) / √(χ² + ε) clipped to [1 / r_max, r_max], a constant

    where χ̄² is the mean over the window of χ²_B = mean(x²), and χ² is the running second moment: a moving
    average of χ²_B with new weight `momentum`. The backward pass is that of `MovingAverageFunction`. In the
    first `warmup_steps` steps, and until the window is full, χ̄² = χ²_B and ψ̄ = ψ_B; in the first
    `r_warmup_steps` (None: as many) r = 1. Test: y = γ x / √(χ² + ε) + β.

    The groups of one step count as consecutive, so the window reaches over groups of the same step before it
    reaches back in time: as in the authors' ImageNet experiment, which also cuts a regular SGD batch into
    small groups. With `window` groups or more per step nothing in it is stale, and a group of n images is
    normalized with the statistics of `window` · n: a remedy that a small batch on one device does not have
    so cheaply. Several processes would each see a window of their own groups, so training refuses them. In
    evaluation every group has its own χ²_B.

    Defaults: the window of 16 groups, α = 0.98 and `r_max` are those of the authors' code. They have two
    programs, which begin at different steps, and neither is followed to the step here:

    - their ImageNet program averages from the 2nd step on and corrects by r from the 100th on:
      `warmup_steps=1 r_warmup_steps=99`;
    - their layer for other networks averages from the 100th step on and corrects from the 1,001st on:
      `warmup_steps=99 r_warmup_steps=1000`;
    - by default both begin here at the 101st, `warmup_steps=100 r_warmup_steps=null`, so that a run of some
      hundred steps is corrected too.

    In both programs χ² averages the window's χ̄², here each step's own χ²_B, which lags less.

    A warning: the backward pass is an estimate, not the gradient. Where γ / χ is large it can diverge.

    `x: (N, C, H, W)` or `(N, C)`, also with one value per channel: nothing is subtracted.
    """

    averages = ("running_second_moment",)
    windows = ("forward_history", "backward_history")

    weight: nn.Parameter
    bias: nn.Parameter
    running_second_moment: Tensor
    forward_history: Tensor
    backward_history: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_channels: int,
        norm_batch_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.02,
        window: int = 16,
        warmup_steps: int = 100,
        r_max: float = 5.0,
        r_warmup_steps: int | None = None,
        groups_per_step: int = 1,
    ) -> None:
        super().__init__()
        check_norm_batch_size(norm_batch_size)
        self.norm_batch_size = norm_batch_size
        self.eps = eps
        self.momentum = momentum
        self.warmup_steps = max(warmup_steps, math.ceil((window - 1) / groups_per_step))
        self.r_max = r_max
        self.r_warmup_steps = warmup_steps if r_warmup_steps is None else r_warmup_steps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_second_moment", torch.ones(num_channels))
        self.register_buffer("forward_history", torch.zeros(window - 1, num_channels))
        self.register_buffer("backward_history", torch.zeros(window - 1, num_channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        groups = self.groups(x.shape[0]) if self.training else 1
        grouped = split_groups(x.to(self.weight.dtype), groups)
        weight, bias = per_channel(self.weight, grouped), per_channel(self.bias, grouped)
        if self.training:
            y = self._train(grouped, weight, bias)
        else:
            chi = (per_channel(self.running_second_moment, grouped) + self.eps).sqrt()
            y = torch.addcmul(bias, grouped, weight / chi)
        return merge_groups(y).to(x.dtype)

    def _train(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with torch.no_grad():
            own = by_group(x.square().mean(group_dims(x), keepdim=True))
            averaging = self._after(self.warmup_steps)
            average = torch.where(averaging, window_means(self.forward_history, own), own)
            chi = (average + self.eps).sqrt()
            ratio = chi / (self.running_second_moment + self.eps).sqrt()
            correcting = self._after(self.r_warmup_steps)
            r = torch.where(correcting, ratio.clamp(1 / self.r_max, self.r_max), 1.0)
        y = MovingAverageFunction.apply(
            x, weight, bias, per_channel(chi, x), per_channel(r, x), self.backward_history, averaging
        )
        if self.observer is not None:
            mean = by_group(x.mean(group_dims(x), keepdim=True))
            self.observe(mean, own - mean.square())
        if self.updates_running:
            self._update(own)
        return y

    def _after(self, steps: int) -> Tensor:
        """A true scalar from the step on that follows the first `steps`; never in evaluation."""
        return (self.num_batches_tracked >= steps) & self.updates_running

    @torch.no_grad()
    def _update(self, own: Tensor) -> None:
        remember(self.forward_history, own)
        # the first value stands for the past that there is not, instead of the buffer's 1
        first = (self.num_batches_tracked == 0).to(own.dtype)
        new_weight = first + (1 - first) * self.momentum
        move_average(self.running_second_moment, own.mean(0), new_weight)
        self.num_batches_tracked.add_(1)

    def population_buffers(self, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
        return {"running_second_moment": var + mean.square()}

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, norm_batch_size={self.norm_batch_size}, eps={self.eps}"


@register("mabn", batch_statistics=True, conv=CentralizedConv2d)
def mabn(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    sgd_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.02,
    window: Count = 16,
    warmup_steps: Steps = 100,
    r_max: Annotated[float, Range(1)] = 5.0,
    r_warmup_steps: StepsOrNull = None,
) -> nn.Module:
    """Moving-average batch normalization; see `MovingAverageBatchNorm`."""
    groups = sgd_batch_size // norm_batch_size if sgd_batch_size and norm_batch_size else 1
    return MovingAverageBatchNorm(
        num_channels, norm_batch_size, eps, momentum, window, warmup_steps, r_max, r_warmup_steps, groups
    )
