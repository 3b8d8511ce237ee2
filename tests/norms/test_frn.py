"""A user would lose filter response normalization as published, with its threshold for a ReLU."""

import pytest
import torch
from torch import nn

from bnrepro.models import build_model
from bnrepro.norms import build_norm
from bnrepro.norms.frn import FilterResponseNorm


def layer(**options):
    torch.manual_seed(0)
    made = build_norm("frn", 3, **options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def per_channel(values):
    return values.view(-1, 1, 1)


@pytest.mark.parametrize("learn_eps", [False, True])
@pytest.mark.parametrize("activated", [True, False])
def test_it_is_the_papers_formula(learn_eps, activated):
    frn = layer(learn_eps=learn_eps, activated=activated)
    x = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    eps = 1e-6 + (frn.learned_eps.abs() if learn_eps else 0)
    nu2 = x.square().mean((2, 3), keepdim=True)
    y = per_channel(frn.weight) * x / (nu2 + eps).sqrt() + per_channel(frn.bias)
    z = torch.maximum(y, per_channel(frn.threshold)) if activated else y
    wanted = [x, *frn.parameters()]
    expected = torch.autograd.grad(z.sin().sum(), wanted)
    got = torch.autograd.grad(frn(x).sin().sum(), wanted)
    assert torch.allclose(frn(x), z, atol=1e-12)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(got, expected, strict=True))
    assert torch.autograd.gradcheck(frn, (x,))


def test_the_threshold_starts_as_a_relu_and_a_learned_eps_where_the_paper_has_it():
    frn = build_norm("frn", 3, learn_eps=True)
    assert torch.equal(frn.threshold, torch.zeros(3))
    assert frn.learned_eps.item() == pytest.approx(1e-4)


def test_a_learned_eps_keeps_the_size_of_a_single_value():
    vector = torch.tensor([[0.01, 1.0, -1.0]])
    y = build_norm("frn", 3, learn_eps=True, activated=False)(vector)
    assert y[0, 0] < 0.75 < y[0, 1]


def test_it_replaces_the_activation_inside_a_block_but_not_the_additions():
    block = build_model("resnet8", norm="frn").blocks[0]
    assert isinstance(block.act1, nn.Identity)
    assert isinstance(block.norm1, FilterResponseNorm)
    assert block.norm1.threshold is not None
    assert block.norm2.threshold is None
    assert block(torch.randn(2, 16, 4, 4)).min() >= 0
