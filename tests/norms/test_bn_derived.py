"""A user would lose the derivation: the algebra on paper and the kernels of `torch` are the same."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from bnrepro.models import build_model
from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import using_batch_statistics
from bnrepro.norms.bn_derived import DerivedFunction, closed_form

EPS = 1e-5


def grouped(*shape):
    """x, γ, β for the function, in float64."""
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    affine = (1, 1, shape[2], *(1,) * (len(shape) - 3))
    weight = torch.randn(affine, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(affine, dtype=torch.float64, requires_grad=True)
    return x, weight, bias


@pytest.mark.parametrize("shape", [(1, 4, 3, 2, 2), (3, 2, 2, 2, 1), (2, 1, 2, 3, 2), (2, 3, 4)])
def test_gradcheck(shape):
    torch.manual_seed(0)
    inputs = grouped(*shape)
    assert torch.autograd.gradcheck(lambda *args: DerivedFunction.apply(*args, EPS)[0], inputs)


@pytest.mark.parametrize("shape", [(1, 4, 3, 2, 2), (3, 2, 5, 4, 4), (2, 5, 4), (1, 2, 3, 1, 1)])
def test_the_closed_form_is_the_chain_rule_simplified(shape):
    torch.manual_seed(0)
    x, weight, bias = grouped(*shape)
    y, mean, var = DerivedFunction.apply(x, weight, bias, EPS)
    grad_y = torch.randn_like(y)
    (by_chain_rule,) = torch.autograd.grad(y, x, grad_y)
    std = (var + EPS).sqrt()
    simplified = closed_form(grad_y * weight, (x - mean) / std, std)
    assert (simplified - by_chain_rule).abs().max() < 1e-10


def both(layer_kind, channels):
    """torch's layer and ours in float64, with the same parameters and statistics."""
    reference = layer_kind(channels).double()
    with torch.no_grad():
        reference.weight.normal_()
        reference.bias.normal_()
        reference.running_mean.normal_()
        reference.running_var.uniform_(0.5, 2)
    layer = build_norm("bn_derived", channels).double()
    layer.load_state_dict(reference.state_dict())
    return reference, layer


def largest_difference(reference, layer, x):
    """Over output, gradients and running statistics of one training step, and the test output after it."""
    grad_y = torch.randn_like(x)
    results = []
    for module in (reference, layer):
        own = x.clone().requires_grad_()
        y = module(own)
        y.backward(grad_y)
        after = module.eval()(x)
        state = [module.running_mean, module.running_var, module.num_batches_tracked.double()]
        results.append([y, own.grad, module.weight.grad, module.bias.grad, after, *state])
    return max((a - b).abs().max().item() for a, b in zip(*results, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    images=st.integers(1, 6),
    channels=st.integers(1, 5),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_images_of_any_shape_agree_with_torch(images, channels, height, width, scale, seed):
    torch.manual_seed(seed)
    reference, layer = both(nn.BatchNorm2d, channels)
    x = torch.randn(images, channels, height, width, dtype=torch.float64) * scale + scale
    if images * height * width == 1:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            layer(x)
    else:
        assert largest_difference(reference, layer, x) < 1e-10 * max(1, scale)


@settings(max_examples=20, deadline=None)
@given(images=st.integers(2, 9), channels=st.integers(1, 5), seed=st.integers(0, 1000))
def test_vectors_of_any_shape_agree_with_torch(images, channels, seed):
    torch.manual_seed(seed)
    reference, layer = both(nn.BatchNorm1d, channels)
    # two values can lie so close together that x̂ is mostly rounding: keep them apart
    x = torch.randn(images, channels, dtype=torch.float64) + torch.arange(images).double().view(-1, 1)
    assert largest_difference(reference, layer, x) < 1e-10


@pytest.mark.parametrize("norm_batch_size", [1, 2, 3, None])
def test_groups_agree_with_bn(norm_batch_size):
    torch.manual_seed(0)
    layers = [build_norm(name, 4, norm_batch_size=norm_batch_size).double() for name in ("bn", "bn_derived")]
    x = torch.randn(6, 4, 3, 3, dtype=torch.float64)
    assert largest_difference(*layers, x) < 1e-10


def test_one_value_per_channel_leaves_nothing_of_the_input():
    """What "batch norm cannot work" means: σ² = 0, and y is β whatever x is."""
    x, weight, bias = grouped(1, 1, 3, 1, 1)
    y, _, var = DerivedFunction.apply(x, weight, bias, EPS)
    assert torch.equal(var, torch.zeros_like(var))
    assert torch.equal(y, bias.expand_as(y))
    (grad_x,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad_x, torch.zeros_like(x))


@pytest.mark.parametrize(("norm_batch_size", "shape"), [(None, (1, 3, 1, 1)), (1, (4, 3)), (1, (4, 3, 1, 1))])
def test_one_value_per_channel_is_refused_with_torchs_words(norm_batch_size, shape):
    x = torch.randn(shape)
    with pytest.raises(ValueError, match="Expected more than 1 value") as ours:
        build_norm("bn_derived", 3, norm_batch_size=norm_batch_size)(x)
    with pytest.raises(ValueError, match="Expected more than 1 value") as torchs:
        F.batch_norm(x[:1], None, None, training=True)
    assert str(ours.value) == str(torchs.value)


def test_the_test_rule_never_updates():
    layer = build_norm("bn_derived", 3)
    layer(torch.randn(4, 3, 2, 2))
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.eval()(torch.randn(4, 3, 2, 2))
    with using_batch_statistics(layer):
        layer(torch.randn(4, 3, 2, 2))
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_models_in_lockstep_are_the_models_one_by_one():
    """Under `vmap` over stacked parameters: gradients, and the running statistics of every model."""
    torch.manual_seed(0)
    layers = [build_norm("bn_derived", 4, norm_batch_size=3).double() for _ in range(3)]
    for layer in layers:
        nn.init.normal_(layer.weight)
    params, buffers = stack_module_state(layers)
    params = {key: value.detach() for key, value in params.items()}
    x = torch.randn(3, 6, 4, 2, 2, dtype=torch.float64)

    def loss(params, buffers, x):
        return functional_call(layers[0], (params, buffers), (x,)).sin().sum()

    stacked_x, stacked = vmap(grad(loss, argnums=(2, 0)))(params, buffers, x)[0:2]
    for i, layer in enumerate(layers):
        own = x[i].clone().requires_grad_()
        layer(own).sin().sum().backward()
        torch.testing.assert_close(stacked["weight"][i], layer.weight.grad, rtol=0, atol=1e-10)
        torch.testing.assert_close(stacked_x[i], own.grad, rtol=0, atol=1e-10)
        assert torch.allclose(buffers["running_var"][i], layer.running_var, rtol=0, atol=1e-12)


def digits_losses(norm, dtype):
    """Losses of the first 20 steps of a ResNet-8 on digits at batch size 16."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images / 16, dtype=dtype).view(-1, 1, 8, 8)
    t = torch.tensor(labels)
    model = build_model("resnet8", norm=norm, in_channels=1).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(20):
        batch = slice(16 * step, 16 * (step + 1))
        loss = F.cross_entropy(model(x[batch]), t[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_training_with_it_is_training_with_bn(dtype, relative):
    derived, kernels = digits_losses("bn_derived", dtype), digits_losses("bn", dtype)
    assert ((derived - kernels) / kernels).abs().max() < relative
    assert kernels[-1] < kernels[0]
