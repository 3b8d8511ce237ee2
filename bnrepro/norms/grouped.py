"""Activations cut into normalization batches: shapes and moments that several norms share.

`x: (N, C, ...)` becomes `(groups, N / groups, C, ...)`, statistics have the shape `(groups, 1, C, 1, ...)`:
all groups in one operation, so that many small groups cost no more than one large one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def split_groups(x: Tensor, groups: int) -> Tensor:
    """`(N, C, ...)` to `(groups, N / groups, C, ...)`; group 0 has the first images."""
    return x.unflatten(0, (groups, -1))


def merge_groups(x: Tensor) -> Tensor:
    """The inverse of `split_groups`."""
    return x.flatten(0, 1)


def group_dims(x: Tensor) -> tuple[int, ...]:
    """The dimensions of grouped `x` that hold the m values behind one statistic: images, H and W."""
    return (1, *range(3, x.ndim))


def values_per_group(x: Tensor) -> int:
    """m: how many values one statistic of grouped `x` has."""
    return x[:1, :, :1].numel()


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """`(C,)` or `(groups, C)` in the shape that broadcasts against grouped `x`."""
    return values.reshape(-1, 1, values.shape[-1], *(1,) * (x.ndim - 3))


def by_group(statistic: Tensor) -> Tensor:
    """A statistic `(groups, 1, C, 1, ...)` as `(groups, C)`."""
    return statistic.flatten(1)


@torch.no_grad()
def group_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of grouped `x`, each `(groups, 1, C, 1, ...)`, outside of the graph."""
    dims = group_dims(x)
    mean = x.mean(dims, keepdim=True)
    # `x.var` runs a scalar Welford loop on the CPU: measured ten times slower than these two passes
    return mean, (x - mean).square().mean(dims, keepdim=True)


def require_several_values(x: Tensor) -> None:
    """Raises torch's ValueError where grouped `x` has one value per channel."""
    if values_per_group(x) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x[0].shape}")


@torch.no_grad()
def move_average(running: Tensor, value: Tensor, weight: float | Tensor) -> None:
    """One step of an exponential moving average, in place; `weight` is that of the new value.

    Not by `lerp_`, for which `vmap` has no rule: models in lockstep would wait for each other.
    """
    running.mul_(1 - weight).add_(value.detach() * weight)


def unbiased(var: Tensor, x: Tensor) -> Tensor:
    """The biased variance of grouped `x`, times m / (m − 1)."""
    values = values_per_group(x)
    return var * (values / (values - 1))
