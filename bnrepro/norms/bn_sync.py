"""`bn_sync`: batch norm over all workers of the protocol."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from bnrepro.config.ranges import Fraction, Positive
from bnrepro.norms.batch_norm import BatchNorm
from bnrepro.norms.grouped import by_group, group_dims, merge_groups, per_channel, split_groups
from bnrepro.norms.processes import processes
from bnrepro.norms.registry import register


class AllSum(Function):
    """The sum of a tensor over all processes, in every process; so is its gradient."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return AllSum.apply(grads[0])


class SyncBatchNorm(BatchNorm):
    """Batch norm with the statistics of the whole SGD batch, whatever the protocol's `batch_size` is.

    One process: `bn` with `norm_batch_size = sgd_batch_size`, the simulated workers share their statistics.
    Several: mean and variance are summed over the processes, forward and backward, as
    `torch.nn.SyncBatchNorm` does, on any device and backend. Every process must hold as many images as the
    others. Formula, test and defaults as in `bn`.

    In evaluation nothing is exchanged, since it may run in one process only.

    A warning: it cures small batches per worker, not a small batch; each layer waits for all
    processes twice forward and twice backward. `x: (N, C, H, W)` or `(N, C)`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.updates_running and processes() > 1):
            return super().forward(x)
        grouped = split_groups(x.to(self.weight.dtype), 1)
        dims = group_dims(grouped)
        values = processes() * x.numel() // x.shape[1]
        if values == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.shape}"
            )
        mean = AllSum.apply(grouped.sum(dims, keepdim=True)) / values
        centered = grouped - mean
        var = AllSum.apply(centered.square().sum(dims, keepdim=True)) / values
        scale = per_channel(self.weight, grouped) / (var + self.eps).sqrt()
        y = torch.addcmul(per_channel(self.bias, grouped), centered, scale)
        self.observe(by_group(mean), by_group(var))
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.update_running(by_group(mean), by_group(var) * (values / (values - 1)))
        return merge_groups(y).to(x.dtype)


@register("bn_sync", batch_statistics=True, all_workers=True)
def bn_sync(
    num_channels: int,
    *,
    sgd_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.1,
) -> nn.Module:
    """Batch norm over all workers; see `SyncBatchNorm`."""
    return SyncBatchNorm(num_channels, sgd_batch_size, eps, momentum)
