"""`frn`: filter response normalization with its thresholded linear unit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.config.ranges import Positive
from bnrepro.norms.registry import register

INITIAL_EPS = 1e-4
"""Where a learned ε starts (Singh & Krishnan 2020)."""


class FilterResponseNorm(nn.Module):
    """Filter response normalization (Singh & Krishnan 2020), the same in training and test.

    ν² = mean of x² over H and W; y = γ x / √(ν² + ε) + β; and in place of the activation the thresholded
    linear unit z = max(y, τ) with a learned τ per channel, 0 at the start. Where no activation follows
    (`activated=False`) z = y: the block keeps its ReLU behind the addition.

    ε is 1e-6, the paper's. On 1×1 maps x / √(ν² + ε) would be the sign of x: there the paper learns it, one
    per layer, as 1e-6 + |ε_l| with ε_l = 1e-4 at the start (`learn_eps`).

    A warning: nothing is centered, and the paper warms its learning rate up because of that.

    `x: (N, C, H, W)` or, with `learn_eps`, `(N, C)`.
    """

    def __init__(
        self, num_channels: int, eps: float = 1e-6, learn_eps: bool = False, activated: bool = True
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.threshold = nn.Parameter(torch.zeros(num_channels)) if activated else None
        self.learned_eps = nn.Parameter(torch.tensor(INITIAL_EPS)) if learn_eps else None

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1, *(1,) * (x.ndim - 2))
        square = x.to(self.weight.dtype).square()
        nu2 = square.mean(tuple(range(2, x.ndim)), keepdim=True) if x.ndim > 2 else square
        eps = self.eps if self.learned_eps is None else self.eps + self.learned_eps.abs()
        scale = self.weight.view(shape) * (nu2 + eps).rsqrt()
        bias = self.bias.view(shape)
        if self.threshold is None:
            return torch.addcmul(bias, x, scale).to(x.dtype)
        # max(y, τ) = relu(y − τ) + τ, whose backward pass is the cheaper one
        threshold = self.threshold.view(shape)
        return (F.relu(torch.addcmul(bias - threshold, x, scale)) + threshold).to(x.dtype)


@register("frn", activation=nn.Identity)
def frn(
    num_channels: int, *, eps: Positive = 1e-6, learn_eps: bool = False, activated: bool = True
) -> nn.Module:
    """Filter response normalization; see `FilterResponseNorm`."""
    return FilterResponseNorm(num_channels, eps, learn_eps, activated)
