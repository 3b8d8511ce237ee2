"""Batch norm whose normalization batches are data, not shape: models in lockstep may differ in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.norms.grouped import move_average


def averaging(images: int, sizes: Sequence[int], like: Tensor) -> Tensor:
    """For every normalization batch of `sizes` the matrix `(images, images)` that averages within its groups.

    Row i has 1/n for the n images of image i's contiguous group; `(K, images, images)`, of `like`'s kind.
    """
    image = torch.arange(images, device=like.device)
    groups = [image // size for size in sizes]
    return torch.stack(
        [(own[:, None] == own).to(like.dtype) / n for own, n in zip(groups, sizes, strict=True)]
    )


class MixedBatchNorm(nn.Module):
    """`BatchNorm` in training, with its groups as data: to be mapped over models (`torch.func.vmap`).

    The moments of each image, μ_i and σ²_i over its H·W values, are averaged within its group by a constant
    matrix A `(N, N)` (`averaging`): μ = A μ_i and σ² = A (σ²_i + (μ_i − μ)²), the biased variance of all the
    group's values. Output, gradients and running statistics are `BatchNorm`'s up to rounding.

    `layer` gives parameters, running statistics (stacked, `(K, C)`) and options; `averages: (K, N, N)` and
    `sizes: (K,)`, both of the weights' kind, are every model's matrix and normalization batch.
    `x: (N, C, ...)`. Raises torch's ValueError where the smallest group has one value per channel.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    averages: Tensor
    sizes: Tensor
    eps: float
    momentum: float

    def __init__(self, layer: Any, averages: Tensor, sizes: Tensor) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)
        # views of its own in every layer: to `functional_call` one tensor under two names is one
        self.register_buffer("averages", averages.detach(), persistent=False)
        self.register_buffer("sizes", sizes.detach(), persistent=False)
        self.eps = layer.eps
        self.momentum = layer.momentum
        self._smallest = int(sizes.min())

    def forward(self, x: Tensor) -> Tensor:
        pixels = x[0, 0].numel()
        if self._smallest * pixels == 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, in a model with normalization batches "
                "of 1; --lockstep off trains those with larger ones"
            )
        # the statistics are float32 also for bf16 activations, as torch's batch norm has them
        with torch.autocast(x.device.type, enabled=False):
            y, mean, var = self._normalize(x.reshape(*x.shape[:2], pixels).to(self.weight.dtype))
        self._update_running(mean, var, self.sizes * pixels)
        return y.reshape(x.shape).to(x.dtype)

    def _normalize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y of `x: (N, C, H·W)`, and mean and biased variance of every image's group, `(N, C)`."""
        own = x.mean(2)
        centred = x - own[..., None]
        mean = self.averages @ own
        apart = own - mean
        var = self.averages @ (centred.square().mean(2) + apart.square())
        scale = self.weight * torch.rsqrt(var + self.eps)
        return centred * scale[..., None] + (apart * scale + self.bias)[..., None], mean, var

    @torch.no_grad()
    def _update_running(self, mean: Tensor, var: Tensor, values: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        move_average(self.running_mean, mean.mean(0), self.momentum)
        move_average(self.running_var, var.mean(0) * (values / (values - 1)), self.momentum)
