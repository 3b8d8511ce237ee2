"""A user would lose MABN as published, whose backward pass no gradient check can find wrong."""

import pytest
import torch

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import using_batch_statistics
from bnrepro.norms.mabn import CentralizedConv2d

CHANNELS, WINDOW, WARMUP = 3, 4, 6
EPS, ALPHA, R_MAX = 1e-5, 0.98, 1.5


def layer(norm_batch_size=2):
    torch.manual_seed(0)
    made = build_norm(
        "mabn", CHANNELS, norm_batch_size=norm_batch_size, window=WINDOW, warmup_steps=WARMUP, r_max=R_MAX
    ).double()
    with torch.no_grad():
        made.weight.normal_()
        made.bias.normal_()
    return made


def by_channel(values):
    return values.view(1, -1, 1, 1)


def paper(weight, bias, batches, grads, groups):
    """The paper's formulas in plain loops. Yields y, ∂l/∂x, ∂l/∂γ, ∂l/∂β, χ² of each step."""
    chi2s, psis, running = [], [], None
    for step, (x, grad) in enumerate(zip(batches, grads, strict=True)):
        ys, grad_xs, grad_weight, grad_bias, own = [], [], 0, 0, []
        for part, grad_part in zip(x.chunk(groups), grad.chunk(groups), strict=True):
            chi2s.append(part.square().mean((0, 2, 3)))
            own.append(chi2s[-1])
            averaging = step >= WARMUP
            chi2 = torch.stack(chi2s[-WINDOW:]).mean(0) if averaging else chi2s[-1]
            r = torch.ones(CHANNELS, dtype=torch.float64)
            if averaging:
                r = ((chi2 + EPS).sqrt() / (running + EPS).sqrt()).clamp(1 / R_MAX, R_MAX)
            z = part / by_channel((chi2 + EPS).sqrt())
            ys.append(by_channel(weight * r) * z + by_channel(bias))
            g = grad_part * by_channel(weight * r)
            psis.append((g * z).mean((0, 2, 3)))
            psi = torch.stack(psis[-WINDOW:]).mean(0) if averaging else psis[-1]
            grad_xs.append((g - z * by_channel(psi)) / by_channel((chi2 + EPS).sqrt()))
            grad_weight = grad_weight + (grad_part * by_channel(r) * z).sum((0, 2, 3))
            grad_bias = grad_bias + grad_part.sum((0, 2, 3))
        mean = torch.stack(own).mean(0)
        running = mean if running is None else ALPHA * running + (1 - ALPHA) * mean
        yield torch.cat(ys), torch.cat(grad_xs), grad_weight, grad_bias, running


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_both_passes_are_the_papers_formulas(groups):
    module = layer(norm_batch_size=6 // groups)
    steps = WARMUP + WINDOW + 3
    batches = torch.randn(steps, 6, CHANNELS, 2, 2, dtype=torch.float64) * torch.rand(steps, 1, 1, 1, 1) * 3
    grads = torch.randn_like(batches)
    expected = paper(module.weight.detach(), module.bias.detach(), batches, grads, groups)
    for x, grad, wanted in zip(batches, grads, expected, strict=True):
        own = x.clone().requires_grad_()
        module.zero_grad()
        y = module(own)
        y.backward(grad)
        got = [y, own.grad, module.weight.grad, module.bias.grad, module.running_second_moment]
        for ours, theirs in zip(got, wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert module.num_batches_tracked == steps


def test_in_the_warm_up_the_backward_pass_is_the_gradient():
    module = layer(norm_batch_size=None)
    x = torch.randn(4, CHANNELS, 2, 2, dtype=torch.float64, requires_grad=True)
    chi2 = x.square().mean((0, 2, 3), keepdim=True)
    plain = by_channel(module.weight) * x / (chi2 + EPS).sqrt() + by_channel(module.bias)
    (by_autograd,) = torch.autograd.grad(plain.sin().sum(), x)
    (ours,) = torch.autograd.grad(module(x).sin().sum(), x)
    assert torch.allclose(ours, by_autograd, atol=1e-12)


def test_the_test_rule_divides_by_the_running_moment_and_never_updates():
    module = layer()
    module.running_second_moment.uniform_(0.5, 2)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    x = torch.randn(4, CHANNELS, 2, 2, dtype=torch.float64)
    z = x / by_channel((module.running_second_moment + EPS).sqrt())
    y = module.eval()(x)
    with using_batch_statistics(module):
        module(x)
    assert torch.allclose(y, by_channel(module.weight) * z + by_channel(module.bias), atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_using_batch_statistics_after_the_warm_up_sees_only_the_group_itself():
    module = layer(norm_batch_size=2)
    module.num_batches_tracked.fill_(WARMUP)
    seen = []
    module.observer = lambda mean, var: seen.append((mean, var))
    x = torch.randn(4, CHANNELS, 3, 3, dtype=torch.float64)
    with using_batch_statistics(module):
        y = module(x)
    z = (y - by_channel(module.bias)) / by_channel(module.weight)
    moments = z.unflatten(0, (2, 2)).square().mean((1, 3, 4))
    assert torch.allclose(moments, torch.ones_like(moments), atol=1e-3)
    assert torch.allclose(seen[0][1], x.unflatten(0, (2, 2)).var((1, 3, 4), correction=0))


def test_the_population_has_the_second_moment():
    mean, var = torch.tensor([2.0]), torch.tensor([3.0])
    assert build_norm("mabn", 1).population_buffers(mean, var) == {
        "running_second_moment": torch.tensor([7.0])
    }


def test_filters_are_centralized():
    conv = CentralizedConv2d(2, 3, 3, padding=1, bias=False)
    x = torch.ones(1, 2, 5, 5)
    assert torch.allclose(conv(x)[:, :, 1:-1, 1:-1], torch.zeros(1, 3, 3, 3), atol=1e-6)


@pytest.mark.parametrize(("steps", "begins"), [(0, 3), (3, 3), (5, 5)])
def test_averaging_waits_for_a_full_window(steps, begins):
    """4 groups per window, one per step: three earlier ones are needed whatever `warmup_steps` says."""
    module = build_norm("mabn", 1, window=4, warmup_steps=steps, r_max=1).double()
    for step in range(begins + 1):
        x = torch.full((2, 1, 1, 1), step + 1.0, dtype=torch.float64)
        normalized = module(x)[0].item()
        assert (abs(normalized - 1) > 0.01) is (step >= begins)


def test_the_correction_can_begin_later_than_the_averages():
    """As in the authors' layer for other networks."""
    plain, late = (build_norm("mabn", 1, window=1, warmup_steps=1, r_warmup_steps=n) for n in (1, 3))
    for step in range(4):
        x = torch.full((2, 1, 1, 1), step + 1.0)
        same = torch.allclose(plain(x), late(x))
        assert same is (step not in (1, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "norm.window=0: must be 1 or more"),
        ({"warmup_steps": -1}, "norm.warmup_steps=-1: must be 0 or more"),
        ({"r_max": 0.2}, "norm.r_max=0.2: must be 1 or more"),
        ({"r_warmup_steps": 2.5}, "norm.r_warmup_steps=2.5: must be a whole number or null"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        build_norm("mabn", CHANNELS, **options)
    assert message in str(error.value)
