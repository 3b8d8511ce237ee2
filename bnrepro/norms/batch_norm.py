"""`bn`: batch normalization, over the batch or over groups of it (ghost batch norm)."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from bnrepro.config.ranges import Fraction, Positive
from bnrepro.norms.batch_statistics import BatchStatistics, check_norm_batch_size
from bnrepro.norms.grouped import move_average, require_several_values, split_groups
from bnrepro.norms.mixed_batches import MixedBatchNorm
from bnrepro.norms.registry import register

Affine = Literal["weight_and_bias", "weight", "bias", "none"]
"""What of y = γ x̂ + β is learned."""

_forward = torch.ops.aten.native_batch_norm.out
_backward = torch.ops.aten.native_batch_norm_backward.out


def normalize_groups(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, stacked: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch-normalize each of `groups` contiguous groups of `x: (N, C, ...)` with its own statistics.

    Returns the output, and mean and unbiased variance of every group, `(groups, C)`. Raises torch's
    ValueError where a group has one value per channel. `stacked`: under `vmap`.

    With momentum 1 the "running" buffers of `F.batch_norm` are the batch's own statistics, which spares a
    second pass over the data.
    """
    if x.device.type == "cpu":
        return one_after_another(x, groups, weight, bias, eps)
    channels_last = not stacked and x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return all_at_once(x, groups, weight, bias, eps, channels_last)


def one_after_another(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """For CPUs: each group stays in the cache.

    Measured 10-25 % faster for a whole ResNet-8 step than folding the groups into the channels.
    """
    # torch.compile and lockstep take apart what they run; asked as torch's own `Function.apply` does
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return concatenated_groups(x, weight, bias, groups, eps)
    require_several_values(split_groups(x, groups))
    y, mean, var, *_ = GroupByGroup.apply(x, weight, bias, groups, eps)
    return y, mean, var


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


def all_at_once(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, channels_last: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """For accelerators: the groups folded into the channels, one launch for all.

    `channels_last`: x `(N, C, H, W)` has its channels last, and so has the output. They stay last on the way:
    else the convolution behind would have to turn them around, and its gradient back.
    """
    fold, unfold = (_fold_last, _unfold_last) if channels_last else (_fold, _unfold)
    shape = (groups * x.shape[1],)
    mean, var = (x.new_zeros(shape, dtype=weight.dtype) for _ in range(2))
    out = F.batch_norm(fold(x, groups), mean, var, weight.repeat(groups), bias.repeat(groups), True, 1.0, eps)
    return unfold(out, groups), mean.unflatten(0, (groups, -1)), var.unflatten(0, (groups, -1))


def _fold(x: Tensor, groups: int) -> Tensor:
    """`(N, C, ...)` to `(N / groups, groups · C, ...)`, contiguous."""
    return x.unflatten(0, (groups, -1)).transpose(0, 1).flatten(1, 2).contiguous()


def _unfold(x: Tensor, groups: int) -> Tensor:
    return x.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 1)


def _fold_last(x: Tensor, groups: int) -> Tensor:
    """The same with channels last, of which each image's stay together."""
    pixels = x.permute(0, 2, 3, 1).unflatten(0, (groups, -1))
    return pixels.permute(1, 2, 3, 0, 4).flatten(3).contiguous().permute(0, 3, 1, 2)


def _unfold_last(x: Tensor, groups: int) -> Tensor:
    pixels = x.permute(0, 2, 3, 1).unflatten(3, (groups, -1))
    return pixels.permute(3, 0, 1, 2, 4).flatten(0, 1).contiguous().permute(0, 3, 1, 2)


class BatchNorm(BatchStatistics):
    """Batch normalization (Ioffe & Szegedy 2015, Algorithm 1) over groups of `norm_batch_size` images.

    Training, for the m values of a channel in a group: y = γ (x − μ_B) / √(σ²_B + ε) + β with
    μ_B = (1/m) Σ x and the biased σ²_B = (1/m) Σ (x − μ_B)². The running statistics get one update per step,
    from the mean over the groups of μ_B and of the unbiased variance (m / (m − 1)) σ²_B, with new weight
    `momentum` (PyTorch's 0.1). Test: the running statistics in place of μ_B and σ²_B, never updated.

    With one value per channel σ² = 0 and nothing of x is left: torch's ValueError "Expected more than 1
    value per channel" is raised. With one image but H·W > 1 it silently trains as instance norm.

    γ starts at `initial_weight` and β at 0. What `affine` does not name stays there: it is a buffer, under
    the same name in the state dict, which no optimizer and no weight decay sees. Without γ and β a sigmoid
    is fed values of variance 1, where it is nearly linear (the paper's §3).

    `x: (N, C, H, W)` or `(N, C)`. Parameters and buffers carry the names of `torch.nn.BatchNorm2d`.
    """

    averages = ("running_mean", "running_var")

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_channels: int,
        norm_batch_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: Affine = "weight_and_bias",
        initial_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_norm_batch_size(norm_batch_size)
        self.norm_batch_size = norm_batch_size
        self.eps = eps
        self.momentum = momentum
        self.initial_weight = initial_weight
        start = {"weight": torch.ones(num_channels) * initial_weight, "bias": torch.zeros(num_channels)}
        for name, value in start.items():
            if name in affine:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        groups = self.groups(x.shape[0])
        if self.updates_running:
            self.num_batches_tracked.add_(1)
            if groups == 1 and self.observer is None and not self.stacked:
                return F.batch_norm(
                    x,
                    self.running_mean,
                    self.running_var,
                    self.weight,
                    self.bias,
                    True,
                    self.momentum,
                    self.eps,
                )
        y, mean, var = normalize_groups(x, groups, self.weight, self.bias, self.eps, self.stacked)
        if self.updates_running:
            self.update_running(mean, var)
        values = x.numel() // (groups * x.shape[1])
        self.observe(mean, var * ((values - 1) / values))
        return y

    @torch.no_grad()
    def update_running(self, mean: Tensor, var: Tensor) -> None:
        """One step of the moving average, from every group's mean and unbiased variance, `(groups, C)`."""
        move_average(self.running_mean, mean.mean(0), self.momentum)
        move_average(self.running_var, var.mean(0), self.momentum)

    def population_buffers(self, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
        return {"running_mean": mean, "running_var": var}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Torch's older state dicts have no counter, and torch's own layers load them as well."""
        state_dict.setdefault(f"{prefix}num_batches_tracked", torch.zeros_like(self.num_batches_tracked))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, norm_batch_size={self.norm_batch_size}, eps={self.eps}"


@register("bn", batch_statistics=True, mixed=MixedBatchNorm)
def bn(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.1,
    affine: Affine = "weight_and_bias",
    initial_weight: Positive = 1.0,
) -> nn.Module:
    """Batch normalization; see `BatchNorm`."""
    return BatchNorm(num_channels, norm_batch_size, eps, momentum, affine, initial_weight)
