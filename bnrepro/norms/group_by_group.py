"""Batch normalization of many small groups on a CPU: torch's kernels, group by group, into one output."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

_forward = torch.ops.aten.native_batch_norm.out
_backward = torch.ops.aten.native_batch_norm_backward.out


class GroupByGroup(Function):
    """Batch-normalizes each of `groups` contiguous groups of `x: (N, C, ...)` with its own statistics.

    Returns the output, then for every group, `(groups, C)`: mean, unbiased variance, and what backward needs.
    No gradient flows through these. Each group stays in the cache, its result is written where it belongs:
    with a small tensor per group, concatenated afterwards, forward and backward of groups of one image took
    1.5 times as long (ResNet-8's layers, one thread). Not differentiable twice, and not for `torch.func`.
    """

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        y = torch.empty_like(x)
        # float32 also for bf16 activations, as torch's batch norm has them
        mean, var, own_mean, scale = (weight.new_zeros(groups, x.shape[1]) for _ in range(4))
        per_group = (part.unbind() for part in (mean, var, own_mean, scale))
        for part, out, m, v, own, inverse in zip(x.chunk(groups), y.chunk(groups), *per_group, strict=True):
            # with momentum 1 the "running" buffers are the group's own statistics
            _forward(part, weight, bias, m, v, True, 1.0, eps, out=out, save_mean=own, save_invstd=inverse)
        return y, mean, var, own_mean, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, weight, _, ctx.groups, ctx.eps = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(x, weight, *output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, *statistics = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        grad_weight, grad_bias = (weight.new_empty(ctx.groups, x.shape[1]) for _ in range(2))
        parts = (tensor.chunk(ctx.groups) for tensor in (x, grads[0], grad_x))
        rows = (tensor.unbind() for tensor in (*statistics, grad_weight, grad_bias))
        for part, grad, into, mean, var, own, inverse, into_weight, into_bias in zip(
            *parts, *rows, strict=True
        ):
            _backward(
                *(grad, part, weight, mean, var, own, inverse, True, ctx.eps, [True, True, True]),
                out0=into,
                out1=into_weight,
                out2=into_bias,
            )
        return grad_x, grad_weight.sum(0), grad_bias.sum(0), None, None


def concatenated_groups(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same from a tensor per group, with the operations that `vmap` has rules for.

    Returns the output, and mean and unbiased variance of every group.
    """
    # The statistics are made from x, and each contiguous, so that `vmap` gives every model its own and writes
    # into them.
    means, variances = (
        [x.new_zeros(x.shape[1], dtype=weight.dtype) for _ in range(groups)] for _ in range(2)
    )
    chunks = [
        F.batch_norm(chunk, mean, var, weight, bias, True, 1.0, eps)
        for chunk, mean, var in zip(x.chunk(groups), means, variances, strict=True)
    ]
    return torch.cat(chunks), torch.stack(means), torch.stack(variances)
