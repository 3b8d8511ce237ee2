"""A user would find another network behind the conversion than the one they had."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.norms import convert
from bnrepro.norms.batch_norm import BatchNorm
from bnrepro.norms.registry import fitting_groups


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, bias=False),
        nn.BatchNorm2d(12, eps=1e-3, momentum=0.3),
        nn.ReLU(),
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 5)),
    )
    for layer in (model[1], model[3][2]):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2)
    return model


def same(ours: nn.Module, theirs: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> None:
    for model in (ours, theirs):
        F.cross_entropy(model(x), labels).backward()
    for (name, want), got in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        assert torch.equal(want.grad, got.grad), name
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in theirs.state_dict().items())
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_bn_is_what_it_was_to_the_last_bit():
    ours = convert(network(), "bn")
    assert isinstance(ours[1], BatchNorm)
    assert (ours[1].eps, ours[1].momentum) == (1e-3, 0.3)
    same(ours, network(), torch.randn(8, 3, 6, 6), torch.arange(8) % 5)


def test_ghost_batches_are_the_groups_statistics():
    ours, theirs = convert(network()[:2], "bn", norm_batch_size=2), network()[:2]
    x = torch.randn(8, 3, 6, 6)
    assert torch.allclose(ours(x), torch.cat([theirs(part) for part in x.split(2)]), atol=1e-5)


def test_what_is_given_wins_over_what_the_layer_has():
    assert convert(nn.BatchNorm2d(4, eps=1e-3), "bn", eps=1e-4).eps == 1e-4


def test_group_norm_keeps_weight_bias_and_eps():
    theirs = network()
    weight = theirs[1].weight.clone()
    ours = convert(theirs, "gn")
    assert isinstance(ours[1], nn.GroupNorm)
    assert torch.equal(ours[1].weight, weight)
    assert (ours[1].eps, ours[1].num_groups) == (1e-3, 6)
    assert ours(torch.randn(1, 3, 6, 6)).shape == (1, 5)


@pytest.mark.parametrize(
    ("channels", "groups"), [(16, 8), (24, 12), (58, 29), (64, 32), (72, 24), (512, 32), (7, 1), (1, 1)]
)
def test_auto_divides_the_channels_and_leaves_two_in_a_group(channels, groups):
    """One channel per group would be instance norm."""
    assert fitting_groups(channels) == groups


def test_precision_device_and_mode_stay():
    ours = convert(network().double().eval(), "bn")
    assert ours[1].weight.dtype == torch.float64
    assert not ours[1].training


def test_a_layer_alone_is_returned_new_and_one_that_stands_twice_stays_one():
    assert isinstance(convert(nn.BatchNorm2d(4), "gn"), nn.GroupNorm)
    layer = nn.BatchNorm2d(4)
    model = convert(nn.ModuleList([layer, layer]), "bn")
    assert model[0] is model[1]


class WithActivation(nn.BatchNorm2d):
    def forward(self, x):
        return F.relu(super().forward(x))


@pytest.mark.parametrize(
    ("layer", "norm", "message"),
    [
        (WithActivation(4), "gn", "inner.0: WithActivation is not torch's batch norm but a subclass"),
        (nn.BatchNorm2d(4, affine=False), "gn", "inner.0: has no weight and bias"),
        (nn.BatchNorm2d(4, track_running_stats=False), "bn", "inner.0: keeps no running statistics"),
        (nn.BatchNorm2d(4, momentum=None), "bn", "inner.0: averages over all batches"),
        (nn.BatchNorm2d(4), "none", "inner.0: this norm needs biases in the convolutions"),
        (nn.BatchNorm2d(4), "gn_ws", "inner.0: this norm needs a convolution of its own"),
        (nn.BatchNorm2d(4), "evonorm_s0", "inner.0: this norm needs to stand in for the activation"),
        (nn.ReLU(), "gn", "Sequential: has no batch norm of torch's to replace"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_layers_name(layer, norm, message):
    model = nn.Sequential()
    model.add_module("inner", nn.Sequential(layer))
    with pytest.raises(UsageError, match=message):
        convert(model, norm)


def test_an_option_that_the_norm_does_not_have_is_refused():
    with pytest.raises(UsageError, match=r"norm\.norm_batch_size: no such key"):
        convert(nn.BatchNorm2d(4), "gn", norm_batch_size=4)
