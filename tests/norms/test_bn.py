"""A user would lose the claim itself: `bn` over groups must be what that many workers compute."""

from functools import partial

import pytest
import torch
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm
from bnrepro.norms.batch_norm import all_at_once, concatenated_groups, one_after_another
from bnrepro.norms.batch_statistics import using_batch_statistics

CHANNELS = 5


def layer_and_reference(norm_batch_size, images, dimensions=2):
    """`bn`, and one torch layer per group with the same parameters, in float64."""
    layer = build_norm("bn", CHANNELS, norm_batch_size=norm_batch_size).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    kind = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d
    workers = [kind(CHANNELS).double() for _ in range(images // (norm_batch_size or images))]
    for worker in workers:
        worker.load_state_dict(layer.state_dict())
    return layer, workers


@pytest.mark.parametrize("norm_batch_size", [1, 2, 3, 6, None])
@pytest.mark.parametrize("observed", [False, True])
def test_groups_are_separate_workers(norm_batch_size, observed):
    torch.manual_seed(0)
    layer, workers = layer_and_reference(norm_batch_size, images=6)
    layer.observer = (lambda mean, var: None) if observed else None
    x = torch.randn(6, CHANNELS, 3, 4, dtype=torch.float64, requires_grad=True)
    grad = torch.randn_like(x)
    expected = torch.cat([worker(part) for worker, part in zip(workers, x.chunk(len(workers)), strict=True)])
    (expected_grad,) = torch.autograd.grad(expected, x, grad, retain_graph=True)
    expected.backward(grad)
    x.grad = None

    y = layer(x)
    y.backward(grad)

    def total(name):
        return sum(getattr(worker, name).grad for worker in workers)

    def average(name):
        return torch.stack([getattr(worker, name) for worker in workers]).mean(0)

    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(x.grad, expected_grad, rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.weight.grad, total("weight"), rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.bias.grad, total("bias"), rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.running_mean, average("running_mean"), rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.running_var, average("running_var"), rtol=0, atol=1e-12)
    assert layer.num_batches_tracked == 1


def test_vectors_are_normalized_like_images():
    torch.manual_seed(0)
    layer, workers = layer_and_reference(4, images=8, dimensions=1)
    x = torch.randn(8, CHANNELS, dtype=torch.float64)
    assert torch.allclose(layer(x), torch.cat([workers[0](x[:4]), workers[1](x[4:])]), atol=1e-12)


def test_evaluation_uses_the_running_statistics_and_never_updates_them():
    torch.manual_seed(0)
    layer, _ = layer_and_reference(2, images=4)
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    reference = nn.BatchNorm2d(CHANNELS).double()
    reference.load_state_dict(layer.state_dict())
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    x = torch.randn(4, CHANNELS, 3, 3, dtype=torch.float64)
    assert torch.equal(layer.eval()(x), reference.eval()(x))
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_a_state_dict_of_torch_loads():
    trained = nn.BatchNorm2d(CHANNELS)
    trained(torch.randn(4, CHANNELS, 3, 3))
    layer = build_norm("bn", CHANNELS, norm_batch_size=2)
    layer.load_state_dict(trained.state_dict())
    x = torch.randn(3, CHANNELS, 2, 2)
    assert torch.equal(layer.eval()(x), trained.eval()(x))


def test_using_batch_statistics_normalizes_with_the_batch_and_reports_it_but_changes_nothing():
    torch.manual_seed(0)
    layer = build_norm("bn", CHANNELS, norm_batch_size=2).double().eval()
    x = torch.randn(6, CHANNELS, 3, 3, dtype=torch.float64)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    seen = []
    layer.observer = lambda mean, var: seen.append((mean, var))
    with using_batch_statistics(layer):
        y = layer(x)
    groups = x.unflatten(0, (3, 2))
    torch.testing.assert_close(seen[0][0], groups.mean((1, 3, 4)))
    torch.testing.assert_close(seen[0][1], groups.var((1, 3, 4), correction=0))
    assert torch.allclose(y.mean((0, 2, 3)), torch.zeros(CHANNELS, dtype=torch.float64), atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert not layer.training
    assert layer.updates_running


def test_one_value_per_channel_is_refused_with_torchs_words():
    layer = build_norm("bn", CHANNELS, norm_batch_size=1)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        layer(torch.randn(4, CHANNELS, 1, 1))
    assert layer.eval()(torch.randn(4, CHANNELS, 1, 1)).shape == (4, CHANNELS, 1, 1)


def test_images_that_do_not_come_out_even_name_both_numbers():
    with pytest.raises(ValueError, match=r"6 images cannot be cut into normalization batches of 4") as error:
        build_norm("bn", CHANNELS, norm_batch_size=4)(torch.randn(6, CHANNELS, 2, 2))
    assert not isinstance(error.value, UsageError)


def test_a_normalization_batch_of_nothing_is_refused():
    with pytest.raises(UsageError, match="norm_batch_size=0") as error:
        build_norm("bn", CHANNELS, norm_batch_size=0)
    assert "1 or more" in str(error.value)


@pytest.mark.parametrize("shape", [(6, CHANNELS, 3, 4), (6, CHANNELS)])
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_gpu_has_the_numbers_of_a_cpu(shape, groups, mapped):
    """Its way through the groups, on a CPU: output, statistics and gradients, alone and under `vmap`."""
    torch.manual_seed(0)
    inputs = [torch.randn(2, *size, dtype=torch.float64) for size in (shape, (CHANNELS,), (CHANNELS,))]
    grad = torch.randn(2, *shape, dtype=torch.float64)

    def found(way):
        def outputs(x, weight, bias):
            return way(x, groups, weight, bias, 1e-5)

        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        if mapped:
            y, mean, var = torch.func.vmap(outputs)(*leaves)
        else:
            each = [outputs(*own) for own in zip(*leaves, strict=True)]
            y, mean, var = (torch.stack(values) for values in zip(*each, strict=True))
        return [y, mean, var, *torch.autograd.grad(y, leaves, grad)]

    ways = [all_at_once]
    if len(shape) == 4:  # it is not asked for under `vmap`, but could be
        ways.append(partial(all_at_once, channels_last=True))
    for way in ways:
        for one, other in zip(found(one_after_another), found(way), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_gpu_keeps_channels_last_and_splits_the_same_images(groups):
    x = torch.randn(6, CHANNELS, 3, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    weight, bias = torch.rand(2, CHANNELS, dtype=torch.float64)
    expected = one_after_another(x, groups, weight, bias, 1e-5)
    found = all_at_once(x, groups, weight, bias, 1e-5, channels_last=True)
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_a_state_dict_without_the_counter_loads():
    """Older files of torch's have none, and torch's own layers take them."""
    theirs = torch.nn.BatchNorm2d(4)
    theirs.running_mean.normal_()
    state = {key: value for key, value in theirs.state_dict().items() if key != "num_batches_tracked"}
    ours = build_norm("bn", 4)
    ours.load_state_dict(state)
    assert torch.equal(ours.running_mean, theirs.running_mean)
    assert "num_batches_tracked" not in state
    with pytest.raises(RuntimeError, match="running_var"):
        ours.load_state_dict({key: value for key, value in state.items() if key != "running_var"})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_groups_written_into_one_output_have_the_numbers_of_torchs_own_layers(groups, layout, dtype):
    """On a CPU `bn` calls torch's kernels itself: a wrong buffer would be noticed nowhere else."""
    torch.manual_seed(1)
    x = torch.randn(6, CHANNELS, 3, 4).to(dtype=dtype, memory_format=layout).requires_grad_()
    grad = torch.randn(6, CHANNELS, 3, 4).to(dtype)  # of a layout that need not be x's
    parameters = [
        torch.randn(CHANNELS, dtype=torch.promote_types(dtype, torch.float32)).requires_grad_()
        for _ in range(2)
    ]

    def found(way):
        y, mean, var = way(x, weight=parameters[0], bias=parameters[1], groups=groups, eps=1e-5)
        return y, mean, var, *torch.autograd.grad(y, [x, *parameters], grad)

    ours, torchs = found(one_after_another), found(concatenated_groups)
    for one, other in zip(ours[:4], torchs[:4], strict=True):
        assert torch.equal(one, other)
    for one, other in zip(ours[4:], torchs[4:], strict=True):  # sums over groups in another order
        torch.testing.assert_close(one, other)
