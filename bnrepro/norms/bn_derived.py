"""`bn_derived`: batch normalization exactly as derived, every gradient by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from bnrepro.config.ranges import Fraction, Positive
from bnrepro.norms.batch_norm import BatchNorm
from bnrepro.norms.grouped import (
    by_group,
    group_dims,
    merge_groups,
    per_channel,
    require_several_values,
    split_groups,
    unbiased,
    values_per_group,
)
from bnrepro.norms.registry import register


class DerivedFunction(Function):
    """Training-time batch normalization of `x: (groups, images, C, ...)`, each group on its own.

    `weight` and `bias` (γ and β) have the shape `(1, 1, C, 1, ...)`. Returns y, and μ_B and σ²_B for the
    running statistics, `(groups, 1, C, 1, ...)`, through which no gradient flows. Not differentiable twice.

    With one value per channel σ²_B = 0 and y = β whatever x is.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        m, dims = values_per_group(x), group_dims(x)
        mean = x.sum(dims, keepdim=True) / m  # μ_B = (1/m) Σ x_i
        var = (x - mean).square().sum(dims, keepdim=True) / m  # σ²_B = (1/m) Σ (x_i − μ_B)²
        x_hat = (x - mean) / (var + eps).sqrt()  # x̂_i = (x_i − μ_B) / √(σ²_B + ε)
        y = weight * x_hat + bias  # y_i = γ x̂_i + β
        return y, mean, var

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, weight, _, ctx.eps = inputs
        _, mean, var = output
        ctx.mark_non_differentiable(mean, var)
        ctx.save_for_backward(x, weight, mean, var)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        grad_y = grads[0]
        x, weight, mean, var = ctx.saved_tensors
        m, dims = values_per_group(x), group_dims(x)
        centered, std = x - mean, (var + ctx.eps).sqrt()
        x_hat = centered / std

        # ∂l/∂x̂_i = ∂l/∂y_i · γ
        grad_x_hat = grad_y * weight
        # ∂l/∂σ²_B = Σ ∂l/∂x̂_i (x_i − μ_B) · (−½)(σ²_B + ε)^(−3/2)
        grad_var = (grad_x_hat * centered).sum(dims, keepdim=True) * (-0.5) * std**-3
        # ∂l/∂μ_B = Σ ∂l/∂x̂_i · (−1/√(σ²_B + ε)) + ∂l/∂σ²_B · Σ −2(x_i − μ_B)/m
        grad_mean = (grad_x_hat * (-1 / std)).sum(dims, keepdim=True) + grad_var * (
            (-2 * centered).sum(dims, keepdim=True) / m
        )
        # ∂l/∂x_i = ∂l/∂x̂_i / √(σ²_B + ε) + ∂l/∂σ²_B · 2(x_i − μ_B)/m + ∂l/∂μ_B / m
        grad_x = grad_x_hat / std + grad_var * (2 * centered / m) + grad_mean / m
        # ∂l/∂γ = Σ ∂l/∂y_i x̂_i, over all groups, which share γ
        grad_weight = (grad_y * x_hat).sum((0, *dims), keepdim=True)
        # ∂l/∂β = Σ ∂l/∂y_i
        grad_bias = grad_y.sum((0, *dims), keepdim=True)
        return grad_x, grad_weight, grad_bias, None


def closed_form(grad_x_hat: Tensor, x_hat: Tensor, std: Tensor) -> Tensor:
    """∂l/∂x of grouped x in the form that fast implementations use; `std` is √(σ²_B + ε).

    Write g_i = ∂l/∂x̂_i and s = √(σ²_B + ε), so that x_i − μ_B = s x̂_i. Then

    - ∂l/∂σ²_B = Σ g_j s x̂_j · (−½) s⁻³ = −(1 / 2s²) Σ g_j x̂_j;
    - ∂l/∂μ_B = −(1/s) Σ g_j, since Σ (x_j − μ_B) = 0 takes the second term away;
    - ∂l/∂x_i = g_i / s − (1 / 2s²) Σ g_j x̂_j · 2 s x̂_i / m − (1 / s m) Σ g_j
              = (1/s) · (g_i − (1/m) Σ g_j − x̂_i · (1/m) Σ g_j x̂_j).

    What remains is g without its mean and without its part along x̂: normalization takes both away from x,
    so that no gradient can pass there.
    """
    dims = group_dims(x_hat)
    mean_g = grad_x_hat.mean(dims, keepdim=True)
    mean_gx = (grad_x_hat * x_hat).mean(dims, keepdim=True)
    return (grad_x_hat - mean_g - x_hat * mean_gx) / std


class DerivedBatchNorm(BatchNorm):
    """Batch normalization (Ioffe & Szegedy 2015, Algorithm 1) as written on paper, beside `bn`'s kernels.

    Training: y = γ (x − μ_B) / √(σ²_B + ε) + β, with the gradients of `DerivedFunction`; the running
    statistics are updated as `bn` does. Test: y = γ (x − μ) / √(σ² + ε) + β with the running statistics,
    never updated. Defaults as in `bn`.

    For reading and for checking `bn`: the same numbers up to rounding, with more memory traffic.
    `x: (N, C, H, W)` or `(N, C)`. Raises torch's ValueError for one value per channel in training.
    """

    def forward(self, x: Tensor) -> Tensor:
        groups = self.groups(x.shape[0]) if self.training else 1
        grouped = split_groups(x.to(self.weight.dtype), groups)
        weight, bias = per_channel(self.weight, grouped), per_channel(self.bias, grouped)
        if self.training:
            y = self._train(grouped, weight, bias)
        else:
            mean, var = per_channel(self.running_mean, grouped), per_channel(self.running_var, grouped)
            y = weight * (grouped - mean) / (var + self.eps).sqrt() + bias
        return merge_groups(y).to(x.dtype)

    def _train(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        require_several_values(x)
        y, mean, var = DerivedFunction.apply(x, weight, bias, self.eps)
        self.observe(by_group(mean), by_group(var))
        if self.updates_running:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                self.update_running(by_group(mean), by_group(unbiased(var, x)))
        return y


@register("bn_derived", batch_statistics=True)
def bn_derived(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.1,
) -> nn.Module:
    """Batch normalization with its derivation written out; see `DerivedBatchNorm`."""
    return DerivedBatchNorm(num_channels, norm_batch_size, eps, momentum)
