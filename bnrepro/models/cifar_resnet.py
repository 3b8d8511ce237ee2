"""The CIFAR ResNets of He et al. 2016, §4.2: depth 6n + 2, three stages of 16, 32 and 64 channels."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.config.ranges import Count, Positive
from bnrepro.models.registry import ModelFactory, register
from bnrepro.norms import NormLayers

STAGES = (16, 32, 64)
DEFAULT_GROUPS = 8  # 16 channels cannot hold the 32 groups of the ImageNet networks


class IdentityShortcut(nn.Module):
    """Option A: every second pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        # The gradient of a slice has its channels first, which slows down all that it meets on the way back
        # (a CPU's ReLU fourfold); that of a window of one pixel is the same and keeps them last.
        x = F.avg_pool2d(x, kernel_size=1, stride=self.stride)
        before = self.new_channels // 2
        return F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with their norms, the addition, and a ReLU behind it."""

    def __init__(
        self, layers: NormLayers, in_channels: int, channels: int, stride: int, shortcut: str
    ) -> None:
        super().__init__()
        self.keeps_shape = stride == 1 and in_channels == channels
        self.enter = nn.Identity()
        self.conv1 = layers.conv(in_channels, channels, 3, stride)
        self.norm1 = layers.norm(channels)
        self.act1 = layers.activation()
        self.conv2 = layers.conv(channels, channels, 3)
        self.norm2 = layers.norm(channels, activated=False, ends_branch=True)
        self.shortcut = _shortcut(layers, in_channels, channels, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        y = self.act1(self.norm1(self.conv1(entered)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x if self.keeps_shape else entered))

    def branch_convs(self) -> list[nn.Module]:
        """The residual branch's convolutions, in order."""
        return [self.conv1, self.conv2]

    def last_norm(self) -> nn.Module:
        return self.norm2


def _shortcut(layers: NormLayers, in_channels: int, channels: int, stride: int, kind: str) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    if kind == "identity":
        return IdentityShortcut(stride, channels - in_channels)
    return nn.Sequential(
        layers.conv(in_channels, channels, 1, stride), layers.norm(channels, activated=False)
    )


class CifarResNet(nn.Module):
    """`x: (N, in_channels, H, W)` to logits `(N, num_classes)`; H and W from 4 up (32 in the paper).

    `first_stride` is that of the first convolution, 1 in the paper. The maps of the three stages are H, H/2
    and H/4 pixels wide, each divided by it: with 8×8 images and 2 the last stage has 1×1 pixels, and batch
    norm there as many values per channel as the normalization batch has images.
    """

    def __init__(
        self,
        layers: NormLayers,
        depth: int,
        num_classes: int,
        in_channels: int,
        shortcut: str,
        first_stride: int,
        init_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.init_gain = init_gain
        self.conv = layers.conv(in_channels, STAGES[0], 3, first_stride)
        self.norm = layers.norm(STAGES[0])
        self.act = layers.activation()
        blocks: list[nn.Module] = []
        width = STAGES[0]
        for stage, channels in enumerate(STAGES):
            for i in range((depth - 2) // 6):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(BasicBlock(layers, width, channels, stride, shortcut))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width, num_classes)
        self._initialize()

    def _initialize(self) -> None:
        """He et al. 2015, by fan-out, as the reference ResNets do; times `init_gain`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if self.init_gain != 1:
                    module.weight.data *= self.init_gain

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.conv(x)))
        x = self.blocks(x)
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # so that the mean's gradient has its channels last too
        return self.classifier(pixels.mean(1))


def cifar_resnet(depth: int) -> ModelFactory:
    def make(
        layers: NormLayers,
        *,
        num_classes: int,
        in_channels: int = 3,
        shortcut: Literal["identity", "projection"] = "identity",
        first_stride: Count = 1,
        init_gain: Positive = 1.0,
    ) -> nn.Module:
        layers = layers.with_context(default_groups=DEFAULT_GROUPS)
        return CifarResNet(layers, depth, num_classes, in_channels, shortcut, first_stride, init_gain)

    return make


for _depth in (8, 20, 32, 44, 56, 110):
    register(f"resnet{_depth}")(cifar_resnet(_depth))
