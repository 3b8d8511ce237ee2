"""torchvision's ResNets for ImageNet (He et al. 2016; v1.5: the stride is in the 3×3), with any norm."""

from __future__ import annotations

from torch import nn

from bnrepro.models.registry import ModelFactory, register
from bnrepro.norms import NormLayers

DEFAULT_GROUPS = 32  # Wu & He 2018, §4.1
BLOCKS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""Depth -> kind of the blocks, and their number in each stage (He et al. 2016, Table 1)."""


def imagenet_resnet(depth: int) -> ModelFactory:
    def make(layers: NormLayers, *, num_classes: int, in_channels: int = 3) -> nn.Module:
        from bnrepro.models.imagenet_resnet.network import ImageNetResNet  # torchvision: seconds to import

        kind, blocks = BLOCKS[depth]
        layers = layers.with_context(default_groups=DEFAULT_GROUPS)
        return ImageNetResNet(layers, kind, blocks, num_classes, in_channels)

    return make


for _depth in BLOCKS:
    register(f"resnet{_depth}")(imagenet_resnet(_depth))
