"""A user would lose EvoNorm-B0 as published, over groups, with a test rule that never updates."""

import pytest
import torch

from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import BatchStatistics, using_batch_statistics

EPS = 1e-5


def layer(norm_batch_size=2):
    torch.manual_seed(0)
    made = build_norm("evonorm_b0", 3, norm_batch_size=norm_batch_size).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def by_hand(evonorm, x, var):
    weight, bias, v = (p.view(-1, 1, 1) for p in (evonorm.weight, evonorm.bias, evonorm.v))
    instance = (x.var((2, 3), correction=0, keepdim=True) + EPS).sqrt()
    return x / torch.maximum((var.view(-1, 1, 1) + EPS).sqrt(), v * x + instance) * weight + bias


def test_training_is_the_papers_formula_group_by_group():
    evonorm = layer()
    x = torch.randn(4, 3, 3, 2, dtype=torch.float64)
    groups = x.chunk(2)
    expected = torch.cat([by_hand(evonorm, part, part.var((0, 2, 3), correction=0)) for part in groups])
    running = 0.9 + 0.1 * torch.stack([part.var((0, 2, 3)) for part in groups]).mean(0)
    assert torch.allclose(evonorm(x), expected, atol=1e-12)
    assert torch.allclose(evonorm.running_var, running, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_gradcheck(training):
    evonorm = layer().train(training)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(evonorm, (x,))


def test_the_test_rule_uses_the_running_variance_and_never_updates_it():
    evonorm = layer().eval()
    evonorm.running_var.uniform_(0.5, 2)
    before = {key: value.clone() for key, value in evonorm.state_dict().items()}
    x = torch.randn(4, 3, 3, 2, dtype=torch.float64)
    assert torch.allclose(evonorm(x), by_hand(evonorm, x, evonorm.running_var), atol=1e-12)
    seen = []
    evonorm.observer = lambda mean, var: seen.append((mean, var))
    with using_batch_statistics(evonorm):
        evonorm(x)
    assert torch.allclose(seen[0][0], x.unflatten(0, (2, 2)).mean((1, 3, 4)))
    assert all(torch.equal(value, before[key]) for key, value in evonorm.state_dict().items())


def test_the_population_has_a_variance_and_no_mean():
    buffers = build_norm("evonorm_b0", 1).population_buffers(torch.tensor([2.0]), torch.tensor([3.0]))
    assert buffers == {"running_var": torch.tensor([3.0])}


def test_without_an_activation_only_an_affine_map_is_left():
    affine = build_norm("evonorm_b0", 3, norm_batch_size=2, activated=False)
    torch.nn.init.constant_(affine.weight, 2)
    torch.nn.init.constant_(affine.bias, 1)
    x = torch.randn(4, 3, 2, 2)
    assert torch.allclose(affine(x), 2 * x + 1)
    assert not isinstance(affine, BatchStatistics)


def test_one_value_per_channel_is_refused():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel") as error:
        layer(norm_batch_size=1)(torch.randn(2, 3, 1, 1, dtype=torch.float64))
    assert "[1, 3, 1, 1]" in str(error.value)
