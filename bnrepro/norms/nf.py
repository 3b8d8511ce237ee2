"""`nf`: no normalization; scaled weight standardization, as in NF-ResNets."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.config.ranges import Positive
from bnrepro.norms.registry import register

RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""γ: relu of a unit normal variable has the variance 1 / γ² (Brock et al. 2021)."""
LEAST_VARIANCE = 1e-4
"""Bound on fan-in · σ² of a filter, from below (the authors' code)."""


class ScaledWSConv2d(nn.Conv2d):
    """A convolution with the filters Ŵ = g (W − μ) / (σ √fan-in) (Brock et al. 2021).

    μ and the biased σ² are over input channels, height and width of one filter; the gain g is learned, per
    filter, 1 at the start. With unit-variance inputs the outputs have unit variance and, whatever the mean of
    the inputs is, mean 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        fan_in = self.weight[0].numel()
        scale = self.gain * (var * fan_in).clamp(min=LEAST_VARIANCE).rsqrt()
        return self._conv_forward(x, (self.weight - mean) * scale, self.bias)


class ScaledReLU(nn.Module):
    """γ relu(x) with γ = √(2 / (1 − 1/π)): unit variance in, unit variance out."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x * RELU_GAIN)


class ScaledBranch(nn.Module):
    """y = α s x at the end of a residual branch, with a learned scalar s, 0 at the start (SkipInit)."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.alpha * self.scale)


@register("nf", conv=ScaledWSConv2d, conv_bias=True, activation=ScaledReLU)
def nf(num_channels: int, *, alpha: Positive = 0.2, ends_branch: bool = False) -> nn.Module:
    """No norm, signal propagation by design (Brock et al. 2021), the same in training and test.

    Scaled weight-standardized convolutions with gains and biases, activations scaled by γ, and α · SkipInit
    at the end of every branch. α = 0.2 is the paper's.

    What differs here: the paper's blocks are pre-activation, x + α f(x / β) with β = √Var(x) computed in
    advance. Our networks are He et al.'s, with a ReLU behind the addition. β is left out, since with SkipInit
    every block starts as the identity and the variance does not grow at the start; the ReLU behind the
    addition is the block's and not scaled. A warning: so it is NF-ResNets' recipe in another network. The
    paper regularizes strongly to reach batch norm, and clips gradients for large batches in its sequel.
    """
    return ScaledBranch(alpha) if ends_branch else nn.Identity()
