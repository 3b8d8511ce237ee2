"""`torchvision`: every classification architecture of torchvision that has batch norm, by its name there.

Weights are drawn, never downloaded.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from bnrepro.config.errors import check_choice
from bnrepro.models.imagenet_resnet import BLOCKS, imagenet_resnet
from bnrepro.models.registry import register
from bnrepro.norms import NormLayers, convert

ARCHITECTURES = (
    *(f"densenet{layers}" for layers in (121, 161, 169, 201)),
    *(f"efficientnet_b{size}" for size in range(8)),
    *(f"efficientnet_v2_{size}" for size in "lms"),
    *("googlenet", "inception_v3", "maxvit_t"),
    *("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"),
    *("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
    *(f"regnet_x_{size}" for size in ("16gf", "1_6gf", "32gf", "3_2gf", "400mf", "800mf", "8gf")),
    *(f"regnet_y_{size}" for size in ("128gf", "16gf", "1_6gf", "32gf", "3_2gf", "400mf", "800mf", "8gf")),
    *(f"resnet{layers}" for layers in (101, 152, 18, 34, 50)),
    *("resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d"),
    *(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
    *(f"vgg{layers}_bn" for layers in (11, 13, 16, 19)),
    *("wide_resnet101_2", "wide_resnet50_2"),
)
"""Named here, since importing torchvision takes seconds; a test compares."""
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
