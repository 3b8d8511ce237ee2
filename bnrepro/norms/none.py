"""`none`: no normalization, made trainable at batch norm's learning rate by SkipInit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnrepro.norms.registry import register


class SkipInit(nn.Module):
    """One learned scalar at the end of a residual branch, 0 at the start (De & Smith 2020).

    y = α x: the network starts as the identity, as a deep network with batch norm effectively does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


@register("none", conv_bias=True)
def none(num_channels: int, *, skip_init: bool = True, ends_branch: bool = False) -> nn.Module:
    """No norm. Convolutions have biases; each residual branch is scaled by a scalar that starts at 0.

    A bare removal (`skip_init=False`) does not train at batch norm's learning rate.
    """
    return SkipInit() if skip_init and ends_branch else nn.Identity()
