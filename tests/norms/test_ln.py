"""A user would lose Wu & He's layer norm: one group over channels and pixels, affine per channel."""

import torch

from bnrepro.norms import build_norm


def test_it_is_the_formula_over_one_image():
    torch.manual_seed(0)
    layer = build_norm("ln", 4).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    x = torch.randn(3, 4, 2, 5, dtype=torch.float64, requires_grad=True)
    mean = x.mean((1, 2, 3), keepdim=True)
    var = x.var((1, 2, 3), correction=0, keepdim=True)
    hand = layer.weight.view(-1, 1, 1) * (x - mean) / (var + 1e-5).sqrt() + layer.bias.view(-1, 1, 1)
    assert torch.allclose(layer(x), hand, atol=1e-12)
    assert torch.autograd.gradcheck(layer, (x,))


def test_vectors_are_normalized_over_their_channels():
    x = torch.randn(3, 8, dtype=torch.float64)
    y = build_norm("ln", 8).double()(x)
    assert torch.allclose(y.mean(1), torch.zeros(3, dtype=torch.float64), atol=1e-12)
