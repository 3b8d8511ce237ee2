"""A user would lose what keeps a normalizer-free network's signal alive: unit variance without statistics."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.models import build_model
from bnrepro.norms import build_norm
from bnrepro.norms.nf import ScaledReLU, ScaledWSConv2d


def test_filters_are_standardized_to_unit_norm_and_scaled_by_their_gain():
    torch.manual_seed(0)
    conv = ScaledWSConv2d(4, 3, 3, bias=True).double()
    nn.init.normal_(conv.gain)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    flat = conv.weight.flatten(1)
    unit = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, correction=0, keepdim=True) * math.sqrt(36))
    weight = unit.view_as(conv.weight) * conv.gain
    assert torch.allclose(conv(x), F.conv2d(x, weight, conv.bias), atol=1e-12)


def test_gradcheck_through_the_standardization():
    conv = ScaledWSConv2d(2, 2, 2, bias=False).double()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64)

    def by_parameters(weight, gain):
        return torch.func.functional_call(conv, {"weight": weight, "gain": gain}, (x,))

    assert torch.autograd.gradcheck(by_parameters, (conv.weight, conv.gain))


def test_activation_and_convolution_keep_the_variance():
    torch.manual_seed(0)
    activated = ScaledReLU()(torch.randn(64, 32, 16, 16))
    assert abs(activated.var().item() - 1) < 0.02
    y = ScaledWSConv2d(32, 64, 3, bias=False)(activated)
    assert abs(y.var((0, 2, 3)).mean().item() - 1) < 0.1
    # although the input's mean is not 0
    assert abs(y.mean().item()) < 0.05 < activated.mean().item()


def test_a_branch_ends_in_alpha_times_a_scalar_that_starts_at_zero():
    x = torch.randn(2, 4, 3, 3)
    end = build_norm("nf", 4, alpha=0.5, ends_branch=True)
    assert torch.equal(end(x), torch.zeros_like(x))
    nn.init.ones_(end.scale)
    assert torch.allclose(end(x), 0.5 * x)


def test_the_network_around_it_is_made_for_it():
    network = build_model("resnet8", norm="nf")
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(isinstance(conv, ScaledWSConv2d) and conv.bias is not None for conv in convolutions)
    assert isinstance(network.blocks[0].act1, ScaledReLU)
