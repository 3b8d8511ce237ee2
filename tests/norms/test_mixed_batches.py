"""A user would get another batch norm for a cell because it trained in one stack with other batch sizes."""

import pytest
import torch

from bnrepro.norms import build_norm
from bnrepro.norms.mixed_batches import MixedBatchNorm, averaging

CHANNELS, IMAGES = 5, 6


def layers(size, affine="weight_and_bias"):
    """`bn`, and the same with its normalization batch as data."""
    layer = build_norm("bn", CHANNELS, norm_batch_size=size, affine=affine).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    (averages,) = averaging(IMAGES, [size], layer.weight)
    other = build_norm("bn", CHANNELS, norm_batch_size=size, affine=affine).double()
    other.load_state_dict(layer.state_dict())
    return layer, MixedBatchNorm(other, averages, layer.weight.new_tensor(size))


@pytest.mark.parametrize(
    ("size", "shape"),
    [(size, shape) for size in (1, 2, 3, 6) for shape in ((3, 4), (2,))] + [(2, ()), (3, ()), (6, ())],
)
@pytest.mark.parametrize("affine", ["weight_and_bias", "weight", "none"])
def test_is_bn(size, shape, affine):
    torch.manual_seed(size)
    layer, mixed = layers(size, affine)
    x = 100 + torch.randn(IMAGES, CHANNELS, *shape, dtype=torch.float64)
    weights = torch.randn_like(x)
    found = []
    for norm in (layer, mixed):
        own = x.clone().requires_grad_()
        for _ in range(2):
            y = norm(own)
            (y * weights).sum().backward()
        found.append({"y": y, "x": own.grad, **{n: p.grad for n, p in norm.named_parameters()}})
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixed.state_dict(), layer.state_dict(), rtol=1e-11, atol=0)


def test_no_group_sees_another_one():
    """One image of another group that is not finite would end a model that is well."""
    _, mixed = layers(2)
    x = torch.randn(IMAGES, CHANNELS, 3, 4, dtype=torch.float64, requires_grad=True)
    mixed(x)[:2].sum().backward()
    assert (x.grad[:2] != 0).any()
    assert (x.grad[2:] == 0).all()


def test_images_keep_their_channels_last_and_their_precision():
    layer = build_norm("bn", CHANNELS, norm_batch_size=3)
    (averages,) = averaging(IMAGES, [3], layer.weight)
    mixed = MixedBatchNorm(layer, averages, torch.tensor(3.0))
    x = torch.randn(IMAGES, CHANNELS, 4, 4).to(torch.bfloat16, memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixed(x)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert mixed.running_mean.dtype == torch.float32
    torch.testing.assert_close(y, layer(x), rtol=2e-2, atol=2e-2)


def test_one_value_per_channel_is_refused_as_torch_does():
    _, mixed = layers(1)
    with pytest.raises(ValueError, match=r"Expected more than 1 value per channel .* --lockstep off"):
        mixed(torch.randn(IMAGES, CHANNELS, 1, 1, dtype=torch.float64))
