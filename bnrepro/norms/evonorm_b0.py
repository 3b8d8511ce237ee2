"""`evonorm_b0`: an evolved layer of normalization and activation in one, with batch statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnrepro.config.ranges import Fraction, Positive
from bnrepro.norms.batch_statistics import BatchStatistics, check_norm_batch_size
from bnrepro.norms.grouped import (
    by_group,
    group_dims,
    merge_groups,
    move_average,
    per_channel,
    require_several_values,
    split_groups,
    unbiased,
)
from bnrepro.norms.registry import register


class EvoNormB0(BatchStatistics):
    """EvoNorm-B0 (Liu et al. 2020) over groups of `norm_batch_size` images.

    y = γ x / max(√(σ²_B + ε), v x + √(s² + ε)) + β, with the biased variance s² over H and W of one image,
    γ, β and v per channel (v = 1 at the start). Training: σ²_B is the biased variance of the channel in the
    group. Test: the running variance, a moving average of the unbiased one as in `bn`, never updated.
    It stands for norm and activation. Where no activation follows only the affine part is left, as in the
    authors' code: a layer without batch statistics, `Affine`.

    ε = 1e-5 and `momentum` 0.1 (their decay 0.9) are the authors' code's. A warning: it depends on the batch
    as `bn` does, if less, since the larger of two denominators counts.

    `x: (N, C, H, W)`. Raises torch's ValueError for one value per channel in training.
    """

    averages = ("running_var",)

    weight: nn.Parameter
    bias: nn.Parameter
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_channels: int,
        norm_batch_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        check_norm_batch_size(norm_batch_size)
        self.norm_batch_size = norm_batch_size
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.v = nn.Parameter(torch.ones(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        groups = self.groups(x.shape[0]) if self.training else 1
        grouped = split_groups(x.to(self.weight.dtype), groups)
        var = self._batch_variance(grouped) if self.training else per_channel(self.running_var, grouped)
        instance = _variance(grouped, (3, 4))
        by_image = torch.addcmul((instance + self.eps).sqrt(), grouped, per_channel(self.v, grouped))
        by_batch = (var + self.eps).sqrt()
        # the larger one; not by `torch.maximum`, whose gradient is rounded otherwise where a step is recorded
        y = grouped / torch.where(by_batch > by_image, by_batch, by_image)
        y = torch.addcmul(per_channel(self.bias, grouped), y, per_channel(self.weight, grouped))
        return merge_groups(y).to(x.dtype)

    def _batch_variance(self, x: Tensor) -> Tensor:
        require_several_values(x)
        var = _variance(x, group_dims(x))
        if self.observer is not None:
            self.observe(by_group(x.mean(group_dims(x), keepdim=True)), by_group(var))
        if self.updates_running:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                move_average(self.running_var, by_group(unbiased(var, x)).mean(0), self.momentum)
        return var

    def population_buffers(self, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
        return {"running_var": var}

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, norm_batch_size={self.norm_batch_size}, eps={self.eps}"


def _variance(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    return (x - x.mean(dims, keepdim=True)).square().mean(dims, keepdim=True)


class Affine(nn.Module):
    """y = γ x + β per channel, for `x: (N, C, H, W)`."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias.view(-1, 1, 1), x, self.weight.view(-1, 1, 1)).to(x.dtype)


@register("evonorm_b0", batch_statistics=True, activation=nn.Identity)
def evonorm_b0(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.1,
    activated: bool = True,
) -> nn.Module:
    """EvoNorm-B0; see `EvoNormB0`. `activated=False`: an `Affine`."""
    if not activated:
        return Affine(num_channels)
    return EvoNormB0(num_channels, norm_batch_size, eps, momentum)
