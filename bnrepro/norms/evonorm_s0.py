"""`evonorm_s0`: an evolved layer of normalization and activation in one, over one image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnrepro.config.ranges import Groups, Positive
from bnrepro.norms.group_norm import resolve_groups
from bnrepro.norms.registry import register


class EvoNormS0(nn.Module):
    """EvoNorm-S0 (Liu et al. 2020), the same in training and test.

    y = γ x σ(v x) / √(s² + ε) + β, with the sigmoid σ, the biased variance s² over H, W and the channels of
    one of `groups` groups of one image, and γ, β and v per channel (v = 1 at the start). It stands for norm
    and activation. Where no activation follows (`activated=False`) only the affine part is left, y = γ x + β,
    as in the authors' code: the end of a branch is then not normalized.

    ε = 1e-5 is the authors' code's; their 32 groups are `groups=auto` in ImageNet models.
    A warning: found by a search over ImageNet-scale nets; at small scale that may not carry over.

    `x: (N, C, H, W)`.
    """

    def __init__(
        self, num_channels: int, groups: int = 32, eps: float = 1e-5, activated: bool = True
    ) -> None:
        super().__init__()
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.v = nn.Parameter(torch.ones(num_channels)) if activated else None

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.view(-1, 1, 1), self.bias.view(-1, 1, 1)
        if self.v is None:
            return torch.addcmul(bias, x, weight).to(x.dtype)
        inner = x.to(self.weight.dtype).unflatten(1, (self.groups, -1))
        var = (inner - inner.mean((2, 3, 4), keepdim=True)).square().mean((2, 3, 4), keepdim=True)
        # γ / √(s² + ε) first: (N, C, 1, 1) instead of a pass over x
        scale = (weight.unflatten(0, (self.groups, -1)) * (var + self.eps).rsqrt()).flatten(1, 2)
        gated = x * torch.sigmoid(self.v.view(-1, 1, 1) * x)
        return torch.addcmul(bias, gated, scale).to(x.dtype)


@register("evonorm_s0", activation=nn.Identity)
def evonorm_s0(
    num_channels: int,
    *,
    groups: Groups = "auto",
    eps: Positive = 1e-5,
    activated: bool = True,
    default_groups: int = 32,
) -> nn.Module:
    """EvoNorm-S0; see `EvoNormS0`."""
    return EvoNormS0(num_channels, resolve_groups(groups, num_channels, default_groups), eps, activated)
