"""`ln`: layer normalization over channels, height and width of one image."""

from __future__ import annotations

from torch import nn

from bnrepro.config.ranges import Positive
from bnrepro.norms.registry import register


@register("ln")
def ln(num_channels: int, *, eps: Positive = 1e-5) -> nn.Module:
    """Layer normalization (Ba et al. 2016), the same in training and test.

    y = γ (x − μ) / √(σ² + ε) + β, with mean and biased variance over C, H and W of one image, and γ and β per
    channel: group normalization with one group, as Wu & He 2018 compare it. A warning: it assumes that all
    channels contribute alike, which convolutions do not; Wu & He find it 1.7 points behind batch norm.
    `x: (N, C, H, W)` or `(N, C)`.
    """
    return nn.GroupNorm(1, num_channels, eps=eps)
