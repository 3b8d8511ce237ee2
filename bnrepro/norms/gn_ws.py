"""`gn_ws`: group normalization behind weight-standardized convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnrepro.config.ranges import Groups, Positive
from bnrepro.norms.group_norm import gn
from bnrepro.norms.registry import register

EPS = 1e-5
"""Added to a filter's variance (Qiao et al. 2019; the value of their code)."""


class WSConv2d(nn.Conv2d):
    """A convolution with the filters Ŵ = (W − μ) / √(σ² + ε) (Qiao et al. 2019).

    μ and the biased σ² are over input channels, height and width of one filter. Ŵ does not depend on the
    scale of W: weight decay only changes the effective learning rate.
    """

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        return self._conv_forward(x, (self.weight - mean) / (var + EPS).sqrt(), self.bias)


@register("gn_ws", conv=WSConv2d)
def gn_ws(
    num_channels: int, *, groups: Groups = "auto", eps: Positive = 1e-5, default_groups: int = 32
) -> nn.Module:
    """Group normalization with weight standardization (Qiao et al. 2019), the same in training and test.

    The norm is `gn`; every convolution in front of one is a `WSConv2d`. A warning: the paper's gain is on
    ImageNet and COCO with batches of 1 and 2 per GPU; the standardized filters have norm √fan-in, so that
    gradients of the convolutions are small and short runs may want a higher learning rate.
    """
    return gn(num_channels, groups=groups, eps=eps, default_groups=default_groups)
