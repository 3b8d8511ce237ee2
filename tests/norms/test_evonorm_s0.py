"""A user would lose EvoNorm-S0 as published: its formula, and what is left of it without an activation."""

import pytest
import torch
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.models import build_model
from bnrepro.norms import build_norm


def layer(**options):
    torch.manual_seed(0)
    made = build_norm("evonorm_s0", 4, groups=2, **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def test_it_is_the_papers_formula():
    evonorm = layer()
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    weight, bias, v = (p.view(-1, 1, 1) for p in (evonorm.weight, evonorm.bias, evonorm.v))
    groups = x.view(2, 2, 2, 3, 2)
    std = (groups.var((2, 3, 4), correction=0, keepdim=True) + 1e-5).sqrt().expand_as(groups).reshape_as(x)
    hand = x * torch.sigmoid(v * x) / std * weight + bias
    assert torch.allclose(evonorm(x), hand, atol=1e-12)
    assert torch.autograd.gradcheck(evonorm, (x,))


def test_without_an_activation_only_the_affine_part_is_left():
    evonorm = layer(activated=False)
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    expected = evonorm.weight.view(-1, 1, 1) * x + evonorm.bias.view(-1, 1, 1)
    assert torch.allclose(evonorm(x), expected, atol=1e-12)


def test_it_replaces_the_activation_inside_a_block_but_not_the_additions():
    block = build_model("resnet8", norm="evonorm_s0").blocks[0]
    assert isinstance(block.act1, nn.Identity)
    assert block.norm1.groups == 8
    assert block.norm2.v is None
    assert block(torch.randn(2, 16, 4, 4)).min() >= 0


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(UsageError) as error:
        build_norm("evonorm_s0", 16)
    assert "norm.groups=32: does not divide the 16 channels" in str(error.value)
