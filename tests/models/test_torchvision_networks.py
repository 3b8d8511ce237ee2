"""A user would find that their architecture is not there, or is another network than torchvision's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.config.architectures import ARCHITECTURES
from bnrepro.config.errors import UsageError
from bnrepro.models import build_model
from bnrepro.norms import convert

SMALLEST = {"inception_v3": 75, "maxvit_t": 224}
"""Pixels that an architecture needs where 64 are too few."""
HUGE = ("regnet_y_128gf", "vgg", "efficientnet_v2_l", "regnet_x_32gf", "regnet_y_32gf", "efficientnet_b7")


def test_one_of_each_kind_takes_images_of_any_channels():
    for arch in ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"):
        model = build_model("torchvision", arch=arch, norm="gn", num_classes=3, in_channels=1)
        assert model(torch.randn(2, 1, 32, 32)).shape == (2, 3)


def test_its_resnets_take_norms_that_bring_their_own_activation():
    assert build_model("torchvision", arch="resnet18", norm="evonorm_s0")(
        torch.randn(2, 3, 33, 33)
    ).shape == (2, 10)


def test_an_architecture_that_is_not_there_is_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"model\.arch=vit_b_16: choices: densenet121, "):
        build_model("torchvision", arch="vit_b_16")


def test_converted_networks_are_torchvisions_to_the_last_bit():
    import torchvision.models

    for arch in ("mobilenet_v2", "resnet18"):
        torch.manual_seed(0)
        theirs = torchvision.models.get_model(arch, num_classes=5)
        ours = convert(torchvision.models.get_model(arch, num_classes=5), "bn")
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(4, 3, 32, 32)
        for model in (ours, theirs):
            torch.manual_seed(1)
            F.cross_entropy(model(x), torch.arange(4)).backward()
        for (name, want), got in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            assert torch.equal(want.grad, got.grad), name
        assert all(torch.equal(value, ours.state_dict()[key]) for key, value in theirs.state_dict().items())
        assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_every_architecture_with_batch_norm_is_there():
    import torchvision.models

    found = set(torchvision.models.list_models(module=torchvision.models))
    assert set(ARCHITECTURES) <= found
    for arch in found - set(ARCHITECTURES):
        with torch.device("meta"):
            model = torchvision.models.get_model(arch, weights=None)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()), arch


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["bn", "gn", "bn_frozen"])
@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if not arch.startswith(HUGE)])
def test_every_architecture_takes_a_step_with_every_norm_that_fits_anywhere(arch, norm):
    torch.manual_seed(0)
    model = build_model("torchvision", arch=arch, norm=norm, num_classes=5)
    size = SMALLEST.get(arch, 64)
    loss = F.cross_entropy(model(torch.randn(2, 3, size, size)), torch.arange(2))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in model.parameters())
