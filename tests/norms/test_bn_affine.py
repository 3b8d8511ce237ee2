"""A user would lose the control: batch norm whose γ and β are fixed must not learn them after all."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.norms import build_norm, convert

CHANNELS = 5
PARTS = {"weight_and_bias": {"weight", "bias"}, "weight": {"weight"}, "bias": {"bias"}, "none": set()}


@pytest.mark.parametrize(("affine", "learned"), PARTS.items())
@pytest.mark.parametrize("norm_batch_size", [None, 4])
def test_what_is_not_learned_stays_where_it_starts(affine, learned, norm_batch_size):
    torch.manual_seed(0)
    layer = build_norm(
        "bn", CHANNELS, norm_batch_size=norm_batch_size, affine=affine, initial_weight=3
    ).double()
    after = nn.Linear(CHANNELS, 2).double()
    optimizer = torch.optim.SGD([*layer.parameters(), *after.parameters()], lr=0.1, weight_decay=0.1)
    x = torch.randn(8, CHANNELS, dtype=torch.float64)
    start = layer(x)
    groups = x.chunk(2) if norm_batch_size else [x]
    torch.testing.assert_close(
        start, torch.cat([3 * F.batch_norm(part, None, None, training=True) for part in groups])
    )
    for _ in range(3):
        optimizer.zero_grad()
        after(layer(x)).square().mean().backward()
        optimizer.step()
    assert {name for name, _ in layer.named_parameters()} == learned
    for name, value in {"weight": 3.0, "bias": 0.0}.items():
        assert bool((getattr(layer, name) == value).all()) is (name not in learned)


@pytest.mark.parametrize("affine", PARTS)
def test_its_state_dict_has_torchs_names(affine):
    layer = build_norm("bn", CHANNELS, affine=affine, initial_weight=0.5)
    torchs = nn.BatchNorm2d(CHANNELS)
    torchs.load_state_dict(layer.state_dict())
    assert (torchs.weight == 0.5).all()
    build_norm("bn", CHANNELS).load_state_dict(layer.state_dict())


def test_a_converted_layer_keeps_its_weight_unless_another_is_asked_for():
    torchs = nn.Sequential(nn.BatchNorm1d(CHANNELS))
    with torch.no_grad():
        torchs[0].weight.fill_(2.0)
        torchs[0].bias.fill_(1.0)
    fixed = convert(nn.Sequential(torchs[0]), "bn", affine="none")[0]
    assert not list(fixed.parameters())
    assert (fixed.weight == 2).all()
    assert (fixed.bias == 1).all()
    other = convert(nn.Sequential(torchs[0]), "bn", initial_weight=0.1)[0]
    torch.testing.assert_close(other.weight.detach(), torch.full((CHANNELS,), 0.1))


def test_without_weight_and_bias_it_takes_the_place_of_a_layer_that_has_none():
    plain = nn.BatchNorm1d(CHANNELS, affine=False)
    x = torch.randn(8, CHANNELS)
    expected = plain(x)
    torch.testing.assert_close(convert(nn.Sequential(plain), "bn", affine="none")[0](x), expected)
