"""A user would cure a network with statistics that are not its images', or trust a wrong diagnosis."""

import math

import pytest
import torch
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.models import build_model
from bnrepro.norms import NormLayers, build_norm, diagnose, find_factory, recompute_statistics
from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.training.layer_moments import observed_moments

X = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 + 1


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=4),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(6, 4, 2),
        nn.BatchNorm2d(4),
    )
    return model.double()


def test_it_is_the_mean_and_the_variance_of_all_values():
    model = network()
    recompute_statistics(model, X.split(16))
    values = model[0](X)
    assert torch.allclose(model[1].running_mean, values.mean((0, 2, 3)))
    assert torch.allclose(model[1].running_var, values.var((0, 2, 3), correction=0))


def test_with_one_batch_evaluation_gives_what_training_gave():
    """Every layer behind another one too; dropout is off."""
    model = network()
    recompute_statistics(model, [(X, torch.zeros(64))])
    model[3].p = 0.0
    assert torch.allclose(model.eval()(X), model.train()(X), atol=1e-10)


def test_it_is_the_definition_that_runs_use():
    """DESIGN: μ = E[μ_B], σ² = E[μ_B² + σ_B²] − E[μ_B]² with the biased σ_B²."""
    layers = NormLayers(find_factory("bn"), {}, {"norm_batch_size": 4})
    model = build_model("resnet8", norm=layers).double()
    with observed_moments(model) as moments, torch.no_grad():
        for part in X.split(16):
            model(part)
    expected = moments.population_buffers(model)
    recompute_statistics(model, X.split(16))
    for name, layer in batch_statistics_layers(model).items():
        for key, value in expected[name].items():
            assert torch.allclose(getattr(layer, key), value, atol=1e-8), name


@pytest.mark.parametrize("norm", ["bn", "brn", "mabn", "evonorm_b0"])
def test_every_norm_keeps_the_moments_that_it_keeps(norm):
    model = build_model("resnet8", norm=norm).double()
    recompute_statistics(model, X.split(32))
    assert all(
        not torch.equal(
            layer.running_second_moment if norm == "mabn" else layer.running_var,
            torch.ones_like(layer.weight),
        )
        for layer in batch_statistics_layers(model).values()
    )


def test_all_else_stays_as_it_was():
    model = network()
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items() if "running" not in key}
    recompute_statistics(model, X.split(16))
    diagnose(model, X.split(16))
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert [module.training for module in model[:2]] == [True, False]
    assert model[1].momentum == 0.1


def test_diagnosing_leaves_the_running_statistics_alone():
    model = network()
    before = model[1].running_var.clone()
    diagnose(model, X.split(16))
    assert torch.equal(model[1].running_var, before)


def test_the_noise_of_independent_values_is_what_theory_says():
    """σ/√m for the mean and √(2 / (m − 1)) · … for the variance of m normal values."""
    model = nn.Sequential(build_norm("bn", 8))
    x = torch.randn(4096, 8, 4, generator=torch.Generator().manual_seed(1))
    (layer,) = diagnose(model, x.split(1024), sizes=[1, 4, 16])
    for n in (1, 4, 16):
        m = n * 4
        assert layer.noise_mean[n] == pytest.approx(m**-0.5, rel=0.1)
        assert layer.noise_var[n] == pytest.approx((2 / (m - 1)) ** 0.5, rel=0.1)
    assert (layer.channels, layer.pixels) == (8, 4)


@pytest.mark.parametrize("torchs", [True, False])
def test_the_noise_is_what_training_has_with_batches_of_that_size(torchs):
    """In every layer, and whether the network's batch norms are torch's or cut a batch themselves."""
    layers = NormLayers(find_factory("bn"), {}, {"norm_batch_size": 4})
    torch.manual_seed(0)
    model = build_model("resnet8", norm=layers).double()
    with observed_moments(model) as moments, torch.no_grad():
        model(X)
    if torchs:
        torch.manual_seed(0)
        model = build_model("resnet8", norm=nn.BatchNorm2d).double()
    for layer in diagnose(model, [X], sizes=[4]):
        mean, var = moments[layer.layer].spread()
        assert layer.noise_mean[4] == pytest.approx(mean, rel=1e-6)
        assert layer.noise_var[4] == pytest.approx(var, rel=1e-6)
    assert all(layer.norm_batch_size == 4 for layer in batch_statistics_layers(model).values())


def test_enough_is_from_where_on_the_noise_stays_below_the_bound():
    x = torch.randn(2048, 8, 4, generator=torch.Generator().manual_seed(1))
    (layer,) = diagnose(nn.Sequential(nn.BatchNorm1d(8)), x.split(512), bound=0.2)
    assert list(layer.noise_var) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert layer.noise_var[8] > 0.2 > layer.noise_var[16]
    assert layer.enough == 16
    assert diagnose(nn.BatchNorm1d(8), x.split(512), bound=1e-9)[0].enough is None


def test_one_value_per_channel_cannot_train():
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    (layer,) = diagnose(nn.Sequential(nn.BatchNorm1d(8)), [x])
    assert layer.noise_var[1] == math.inf
    assert layer.noise_var[2] > 1


def test_a_running_statistic_that_lags_is_seen():
    model = network()
    recompute_statistics(model, [X])
    near = diagnose(model, [X])[0].distances
    model[1].running_var *= 2
    far = diagnose(model, [X])[0].distances
    assert near == {"running_mean": pytest.approx(0, abs=1e-12), "running_var": pytest.approx(0, abs=1e-12)}
    assert far["running_var"] == pytest.approx(1)


@pytest.mark.parametrize("function", [recompute_statistics, diagnose])
def test_what_has_no_batch_norm_or_no_images_is_refused(function):
    with pytest.raises(UsageError, match="Sequential: has no batch norm"):
        function(nn.Sequential(nn.Conv2d(3, 4, 1)), [X])
    with pytest.raises(UsageError, match="there is no batch"):
        function(network(), [])
