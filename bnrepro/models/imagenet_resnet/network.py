"""torchvision's ResNet, built by its own constructor; what that cannot say is changed in the blocks.

Member names stay torchvision's (`bn1` may hold another norm), so that its weights load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from bnrepro.norms import NormLayers


class _Basic(BasicBlock):
    """torchvision's block of two 3×3 convolutions, with what the norm brings: convolution, activation."""

    downsample: nn.Module | None
    enter: nn.Module

    def __init__(
        self, norm_layers: NormLayers, inplanes: int, planes: int, stride: int = 1, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(inplanes, planes, stride, *args, **kwargs)
        self.enter = nn.Identity()
        self.conv1 = norm_layers.conv(inplanes, planes, 3, stride)
        self.conv2 = norm_layers.conv(planes, planes, 3)
        self.act1 = norm_layers.activation()
        self.bn2 = norm_layers.norm(planes, activated=False, ends_branch=True)
        if self.downsample is not None:
            self.downsample = _shortcut(norm_layers, inplanes, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        y = self.act1(self.bn1(self.conv1(entered)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(entered)))

    def branch_convs(self) -> list[nn.Module]:
        """The residual branch's convolutions, in order."""
        return [self.conv1, self.conv2]

    def last_norm(self) -> nn.Module:
        return self.bn2


class _Bottleneck(Bottleneck):
    """torchvision's block of 1×1, 3×3 and 1×1 convolutions, with what the norm brings."""

    downsample: nn.Module | None
    enter: nn.Module

    def __init__(
        self, norm_layers: NormLayers, inplanes: int, planes: int, stride: int = 1, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(inplanes, planes, stride, *args, **kwargs)
        self.enter = nn.Identity()
        out = planes * self.expansion
        self.conv1 = norm_layers.conv(inplanes, planes, 1)
        self.conv2 = norm_layers.conv(planes, planes, 3, stride)
        self.conv3 = norm_layers.conv(planes, out, 1)
        self.act1 = norm_layers.activation()
        self.act2 = norm_layers.activation()
        self.bn3 = norm_layers.norm(out, activated=False, ends_branch=True)
        if self.downsample is not None:
            self.downsample = _shortcut(norm_layers, inplanes, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        y = self.act1(self.bn1(self.conv1(entered)))
        y = self.act2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(entered)))

    def branch_convs(self) -> list[nn.Module]:
        """The residual branch's convolutions, in order."""
        return [self.conv1, self.conv2, self.conv3]

    def last_norm(self) -> nn.Module:
        return self.bn3


def _shortcut(layers: NormLayers, in_channels: int, channels: int, stride: int) -> nn.Module:
    """He et al. 2016, option B: a 1×1 convolution where the shape changes."""
    return nn.Sequential(
        layers.conv(in_channels, channels, 1, stride), layers.norm(channels, activated=False)
    )


def _block(kind: str, layers: NormLayers) -> Callable[..., nn.Module]:
    """A block class as torchvision's constructor wants it, which knows the norm."""
    block_class: Any = {"basic": _Basic, "bottleneck": _Bottleneck}[kind]
    block: Any = partial(block_class, layers)
    block.expansion = block_class.expansion
    return block


class ImageNetResNet(ResNet):
    """`x: (N, in_channels, H, W)` to logits `(N, num_classes)`; 224×224 in the paper, any size from 33 up."""

    conv1: nn.Conv2d

    def __init__(
        self, layers: NormLayers, kind: str, blocks: Sequence[int], num_classes: int, in_channels: int
    ) -> None:
        super().__init__(_block(kind, layers), list(blocks), num_classes, norm_layer=layers.norm)
        stem = layers.conv(in_channels, self.conv1.out_channels, 7, 2)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's own
        self.conv1 = stem
        self.relu = layers.activation()
