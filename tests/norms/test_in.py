"""A user would lose what batch norm silently becomes at a batch size of 1."""

import pytest
import torch

from bnrepro.norms import build_norm


def test_it_is_the_formula_over_one_channel_of_one_image():
    torch.manual_seed(0)
    layer = build_norm("in", 3).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    x = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    hand = layer.weight.view(-1, 1, 1) * (x - mean) / (var + 1e-5).sqrt() + layer.bias.view(-1, 1, 1)
    assert torch.allclose(layer(x), hand, atol=1e-12)
    assert torch.allclose(layer.eval()(x), hand, atol=1e-12)
    assert torch.autograd.gradcheck(layer, (x,))


def test_bn_with_one_image_trains_as_instance_norm():
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    bn, instance = build_norm("bn", 3, norm_batch_size=1).double(), build_norm("in", 3).double()
    assert torch.allclose(bn(x), instance(x), atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_maps_of_one_pixel_are_refused_with_torchs_words(training):
    with pytest.raises(ValueError, match="Expected more than 1 spatial element") as error:
        build_norm("in", 3).train(training)(torch.randn(4, 3, 1, 1))
    assert "[4, 3, 1, 1]" in str(error.value)
