"""`fixup`: no normalization; an initialization, scalars and biases that make the bare network train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.norms.registry import register


class FixupConv2d(nn.Conv2d):
    """A convolution with one learned scalar, 0 at the start, added to its input (Zhang et al. 2019)."""

    input_bias: nn.Parameter | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.input_bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.input_bias is None else x + self.input_bias)


class ScalarBias(nn.Module):
    """y = x + b with one learned scalar, 0 at the start: in front of a block or an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class ScalarAffine(ScalarBias):
    """y = s x + b with two learned scalars, 1 and 0 at the start: at the end of a residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


@torch.no_grad()
def fixup_initialize(model: nn.Module, blocks: Sequence[nn.Module]) -> None:
    """Fixup initialization (Zhang et al. 2019) of a network whose convolutions are initialized already.

    With L residual blocks of m convolutions: the last convolution of each branch and the classifier (the last
    linear layer) start at 0, the branch's other convolutions are scaled by L^(−1 / (2m − 2)).

    A block has one scalar at its entrance, for the first convolution and for a shortcut that changes the
    shape (`bias1a` in the authors' code); a shortcut that passes x on has none. Only the branch's further
    convolutions keep one of their own.
    """
    _share_entrances(model, blocks)
    for block in blocks:
        *others, last = block.branch_convs()  # type: ignore[operator]
        for conv in others:
            conv.weight.mul_(len(blocks) ** (-1 / (2 * len(others))))
        last.weight.zero_()
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    classifier.weight.zero_()
    classifier.bias.zero_()


def _share_entrances(model: nn.Module, blocks: Sequence[nn.Module]) -> None:
    further = {conv for block in blocks for conv in block.branch_convs()[1:]}  # type: ignore[operator]
    for module in model.modules():
        if isinstance(module, FixupConv2d) and module not in further:
            module.input_bias = None
    for block in blocks:
        block.enter = ScalarBias()


@register("fixup", conv=FixupConv2d, initialize=fixup_initialize)
def fixup(num_channels: int, *, activated: bool = True, ends_branch: bool = False) -> nn.Module:
    """No norm: Fixup (Zhang et al. 2019), the same in training and test.

    A scalar bias in front of every convolution of a branch and of every activation, a scalar multiplier at
    the end of every branch, and `fixup_initialize`, so that one step changes the network's function by an
    amount that does not depend on its depth. The scalars stand where the authors' code has them (their CIFAR
    and ImageNet networks): a block's first one is shared with a shortcut that changes the shape. Only their
    scalar in front of the classifier is left to the classifier's own biases.

    A warning: the authors train the scalars at a tenth of the learning rate and need mixup to reach batch
    norm's error; here every arm has the same rate and augmentation.
    """
    if ends_branch:
        return ScalarAffine()
    return ScalarBias() if activated else nn.Identity()
