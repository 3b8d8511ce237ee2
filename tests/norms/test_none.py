"""A user would lose a fair arm without norms."""

import torch
from torch import nn

from bnrepro.models import build_model
from bnrepro.norms import NormLayers, build_norm, find_factory
from bnrepro.norms.none import SkipInit


def test_a_branch_ends_in_a_learned_scalar_that_starts_at_zero():
    layer = build_norm("none", 4, ends_branch=True)
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(layer(x), torch.zeros_like(x))
    layer(x).sum().backward()
    assert torch.allclose(layer.scale.grad, x.sum())


def test_elsewhere_it_is_nothing():
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(build_norm("none", 4)(x), x)
    assert torch.equal(build_norm("none", 4, skip_init=False, ends_branch=True)(x), x)


def test_every_convolution_has_the_bias_that_a_norm_would_bring():
    def convolutions(norm):
        return [
            module for module in build_model("resnet8", norm=norm).modules() if isinstance(module, nn.Conv2d)
        ]

    assert all(conv.bias is not None for conv in convolutions("none"))
    assert all(conv.bias is None for conv in convolutions("bn"))


def test_skip_init_makes_every_block_start_as_the_identity():
    network = build_model("resnet8", norm="none", shortcut="projection")
    assert sum(isinstance(module, SkipInit) for module in network.modules()) == 3
    bare = build_model("resnet8", norm=NormLayers(find_factory("none"), {"skip_init": False}))
    assert not any(isinstance(module, SkipInit) for module in bare.modules())
