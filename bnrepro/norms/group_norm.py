"""`gn`: group normalization, which sees one image at a time."""

from __future__ import annotations

from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.config.ranges import Groups, Positive
from bnrepro.norms.registry import register


def resolve_groups(groups: int | str, num_channels: int, default_groups: int) -> int:
    """`auto` is the model family's default. Raises `UsageError` where the channels cannot be divided."""
    if groups == "auto":
        groups = default_groups
    assert isinstance(groups, int)
    if num_channels % groups:
        raise UsageError(
            f"norm.groups={groups}: does not divide the {num_channels} channels of a layer; "
            "choose a divisor of every layer's channels"
        )
    return groups


@register("gn")
def gn(
    num_channels: int, *, groups: Groups = "auto", eps: Positive = 1e-5, default_groups: int = 32
) -> nn.Module:
    """Group normalization (Wu & He 2018, Eq. 7), the same in training and test.

    y = γ (x − μ) / √(σ² + ε) + β, with mean and biased variance over H, W and the channels of one of
    `groups` groups of one image; γ and β per channel. 32 groups are the paper's default (§4.1).
    """
    return nn.GroupNorm(resolve_groups(groups, num_channels, default_groups), num_channels, eps=eps)
