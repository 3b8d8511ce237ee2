"""A user would lose weight standardization: the filters' formula, and that every convolution has it."""

import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.models import build_model
from bnrepro.norms.gn_ws import WSConv2d


def test_filters_are_standardized():
    torch.manual_seed(0)
    conv = WSConv2d(2, 3, 3, stride=2, padding=1, bias=False).double()
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    flat = conv.weight.flatten(1)
    standard = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(
        conv(x), F.conv2d(x, standard.view_as(conv.weight), stride=2, padding=1), atol=1e-12
    )


def test_gradcheck_through_the_standardization():
    conv = WSConv2d(2, 2, 2, bias=False).double()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64)

    def by_weight(weight):
        return torch.func.functional_call(conv, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(by_weight, (conv.weight,))


def test_every_convolution_of_a_network_is_one_and_every_norm_a_group_norm():
    modules = list(build_model("resnet8", norm="gn_ws", shortcut="projection").modules())
    assert all(isinstance(module, WSConv2d) for module in modules if isinstance(module, nn.Conv2d))
    assert {module.num_groups for module in modules if isinstance(module, nn.GroupNorm)} == {8}
