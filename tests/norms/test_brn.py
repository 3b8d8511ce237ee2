"""A user would lose batch renormalization as published: its correction, its constants and its schedule."""

import pytest
import torch
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import using_batch_statistics

CHANNELS = 3


def layer_at(r_max, d_max, norm_batch_size=2):
    """A layer in float64 with running statistics of some age and these bounds."""
    torch.manual_seed(0)
    layer = build_norm("brn", CHANNELS, norm_batch_size=norm_batch_size).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.3, 3)
    layer.r_max.fill_(r_max)
    layer.d_max.fill_(d_max)
    return layer


def by_hand(layer, group, r, d):
    """Algorithm 1 for one group, with r and d given."""
    mean = group.mean((0, 2, 3), keepdim=True)
    std = (group.var((0, 2, 3), correction=0, keepdim=True) + layer.eps).sqrt()
    weight, bias = layer.weight.view(1, -1, 1, 1), layer.bias.view(1, -1, 1, 1)
    return weight * ((group - mean) / std * r + d) + bias


def correction(layer, group):
    mean = group.mean((0, 2, 3), keepdim=True)
    std = (group.var((0, 2, 3), correction=0, keepdim=True) + layer.eps).sqrt()
    running_mean = layer.running_mean.view(1, -1, 1, 1)
    running_std = (layer.running_var.view(1, -1, 1, 1) + layer.eps).sqrt()
    r = (std / running_std).clamp(1 / layer.r_max.item(), layer.r_max.item())
    d = ((mean - running_mean) / running_std).clamp(-layer.d_max.item(), layer.d_max.item())
    return r.detach(), d.detach()


@pytest.mark.parametrize(("r_max", "d_max"), [(1.0, 0.0), (1.2, 0.3), (100.0, 100.0)])
def test_it_is_algorithm_1_group_by_group(r_max, d_max):
    layer = layer_at(r_max, d_max)
    x = torch.randn(6, CHANNELS, 3, 3, dtype=torch.float64, requires_grad=True)
    groups = x.chunk(3)
    expected = torch.cat([by_hand(layer, group, *correction(layer, group)) for group in groups])
    means = torch.stack([group.mean((0, 2, 3)) for group in groups]).mean(0)
    variances = torch.stack([group.var((0, 2, 3)) for group in groups]).mean(0)
    running_mean = 0.99 * layer.running_mean + 0.01 * means.detach()
    running_var = 0.99 * layer.running_var + 0.01 * variances.detach()
    wanted = [x, layer.weight, layer.bias]
    expected_grads = torch.autograd.grad(expected.sin().sum(), wanted, retain_graph=True)

    y = layer(x)
    grads = torch.autograd.grad(y.sin().sum(), wanted)

    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.running_mean, running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.running_var, running_var, rtol=0, atol=1e-12)
    assert layer.num_batches_tracked == 1


def test_gradcheck_where_clipping_holds_r_and_d_constant():
    """Running statistics so far away that the smallest change of an input changes neither."""
    layer = layer_at(1.2, 0.3)
    layer.running_mean.fill_(100.0)
    layer.running_var.fill_(1e-4)
    layer.momentum = 0.0  # which the calls of gradcheck would bring near
    x = torch.randn(4, CHANNELS, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_without_clipping_training_computes_what_the_test_does():
    layer = layer_at(1e6, 1e6)
    x = torch.randn(4, CHANNELS, 3, 3, dtype=torch.float64)
    before = layer.eval()(x)
    assert torch.allclose(layer.train()(x), before, atol=1e-10)


def test_with_the_first_bounds_it_is_batch_norm():
    layer = layer_at(1.0, 0.0, norm_batch_size=None)
    reference = nn.BatchNorm2d(CHANNELS, momentum=0.01).double()
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(4, CHANNELS, 3, 3, dtype=torch.float64)
    assert torch.allclose(layer(x), reference(x), atol=1e-12)
    assert torch.allclose(layer.running_var, reference.running_var, atol=1e-12)


@pytest.mark.parametrize(
    ("step", "r_max", "d_max"),
    [(0, 1, 0), (5_000, 1, 0), (15_000, 1 + 2 * 10 / 35, 2.5), (25_000, 1 + 2 * 20 / 35, 5), (40_000, 3, 5)],
)
def test_the_schedule_is_the_papers_in_proportion_to_the_run(step, r_max, d_max):
    layer = build_norm("brn", CHANNELS)
    for scale in (1, 10):
        layer.schedule(step // scale, 130_000 // scale)
        assert layer.r_max.item() == pytest.approx(r_max)
        assert layer.d_max.item() == pytest.approx(d_max)


def test_the_schedule_can_be_given_in_steps():
    layer = build_norm("brn", CHANNELS, r_max=2.0, d_max=1.0, start_step=10, r_max_step=20, d_max_step=10)
    bounds = []
    for step in (9, 10, 15, 20):
        layer.schedule(step, 10**6)
        bounds.append((layer.r_max.item(), layer.d_max.item()))
    assert bounds == [(1, 0), (1, 1), (1.5, 1), (2, 1)]


def test_using_batch_statistics_is_plain_batch_norm():
    layer = layer_at(3.0, 5.0, norm_batch_size=None)
    before = layer.running_mean.clone()
    with using_batch_statistics(layer):
        y = layer(torch.randn(4, CHANNELS, 3, 3, dtype=torch.float64))
    assert torch.allclose(y.mean((0, 2, 3)), layer.bias, atol=1e-12)
    assert torch.equal(layer.running_mean, before)


def test_one_value_per_channel_is_refused():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel") as error:
        build_norm("brn", CHANNELS, norm_batch_size=1)(torch.randn(2, CHANNELS, 1, 1))
    assert "[1, 3, 1, 1]" in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r_max": 0.5}, "norm.r_max=0.5: must be 1 or more"),
        ({"d_max": -1.0}, "norm.d_max=-1: must be 0 or more"),
        ({"start_step": "soon"}, "norm.start_step=soon: must be a whole number or null"),
        ({"r_max_step": 0.3}, "norm.r_max_step=0.3: must be a whole number or null"),
    ],
)
def test_bounds_that_cannot_be_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        build_norm("brn", CHANNELS, **options)
    assert message in str(error.value)
