"""`torchvision`: every classification architecture of torchvision that has batch norm, by its name there.

Weights are drawn, never downloaded.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from bnrepro.config.architectures import ARCHITECTURES
from bnrepro.config.errors import check_choice
from bnrepro.models.imagenet_resnet import BLOCKS, imagenet_resnet
from bnrepro.models.registry import register
from bnrepro.norms import NormLayers, convert

SETTINGS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
"""What a network needs to return nothing but logits."""


@register("torchvision")
def torchvision_network(
    layers: NormLayers, *, num_classes: int, in_channels: int = 3, arch: str = "resnet18"
) -> nn.Module:
    """torchvision's network called `arch`, with another norm in place of each batch norm (`convert`).

    Some ResNets are bnrepro's own, the same networks, in which every norm works. Others than RGB images: a
    new first convolution. Most take images from 32 pixels up, `inception_v3` from 75, `maxvit_t` only 224.
    """
    check_choice("model.arch", arch, ARCHITECTURES)
    if arch in {f"resnet{depth}" for depth in BLOCKS}:
        return imagenet_resnet(int(arch.removeprefix("resnet")))(
            layers, num_classes=num_classes, in_channels=in_channels
        )
    from torchvision.models import get_model

    model = get_model(arch, weights=None, num_classes=num_classes, **SETTINGS.get(arch, {}))
    if in_channels != 3:
        _take_channels(model, in_channels)
    return convert(model, layers)


def _take_channels(model: nn.Module, in_channels: int) -> None:
    name, old = next((key, m) for key, m in model.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    model.set_submodule(name, new)
