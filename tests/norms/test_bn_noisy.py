"""A user would lose the control of claim 1: inputs that move in every step, and nothing else that differs."""

import json

import pytest
import torch
from tiny_runs import tiny_run

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import using_batch_statistics
from bnrepro.norms.bn_noisy import uniform

CHANNELS, STEPS = 5, 400


def layer(seed=0, name="bn_noisy", **options):
    torch.manual_seed(seed)
    return build_norm(name, CHANNELS, **options).double()


def images():
    return torch.randn(6, CHANNELS, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def drawn(module, step):
    module.schedule(step, STEPS)
    return torch.cat([module.noise_scale, module.noise_shift])


@pytest.mark.parametrize("shape", [(6, CHANNELS), (6, CHANNELS, 3, 3)])
@pytest.mark.parametrize("norm_batch_size", [None, 2])
def test_in_training_it_is_bn_then_a_scale_and_a_shift_of_each_channel(shape, norm_batch_size):
    noisy, bn = (layer(name=name, norm_batch_size=norm_batch_size) for name in ("bn_noisy", "bn"))
    noisy.schedule(7, STEPS)
    x = torch.randn(shape, dtype=torch.float64)
    expected = torch.stack(
        [s * y + m for s, m, y in zip(noisy.noise_scale, noisy.noise_shift, bn(x).unbind(1), strict=True)], 1
    )
    torch.testing.assert_close(noisy(x), expected)
    assert torch.equal(noisy.running_mean, bn.running_mean)
    assert torch.equal(noisy.running_var, bn.running_var)


def test_gradcheck():
    noisy = layer(momentum=0.0)
    x = images()[:4, :, :2, :2].requires_grad_()
    assert torch.autograd.gradcheck(noisy, (x,))


def test_scale_and_shift_are_uniform_over_the_papers_ranges():
    noisy = layer()
    values = torch.stack([drawn(noisy, step) for step in range(STEPS)])
    scale, shift = values[:, :CHANNELS].flatten(), values[:, CHANNELS:].flatten()
    for found, low, high in ((scale, 1, 1.25), (shift, -0.5, 0.5)):
        unit = ((found - low) / (high - low)).sort().values
        assert unit[0] >= 0
        assert unit[-1] < 1
        even = (torch.arange(len(unit)) + 0.5) / len(unit)
        assert (unit - even).abs().max() < 1.63 / len(unit) ** 0.5, "Kolmogorov and Smirnov, at 1 %"


def test_the_generator_is_splitmix64():
    """The published first outputs of the seed 1234567, of which a double keeps 53 bits."""
    words = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    found = uniform(torch.tensor(1234567), torch.arange(3))
    assert found.tolist() == [(word >> 11) * 2.0**-53 for word in words]


def test_the_draws_are_those_of_seed_layer_and_step():
    """A run that was interrupted goes on with the same, whatever was drawn meanwhile."""
    one, again, other = layer(), layer(), layer(seed=1)
    late = drawn(one, 300)
    drawn(again, 3)
    torch.rand(9)
    assert torch.equal(drawn(again, 300), late)
    assert not torch.equal(drawn(one, 301), late)
    assert not torch.equal(drawn(other, 300), late)
    assert not torch.equal(drawn(build_norm("bn_noisy", CHANNELS), 300), late)


def test_a_seed_gives_the_weights_of_every_other_norm():
    after = []
    for name in ("bn", "bn_noisy"):
        layer(name=name)
        after.append(torch.rand(3))
    assert torch.equal(*after)


def test_evaluation_has_the_expected_scale_and_no_shift():
    noisy, bn, x = layer(scale=1.5), layer(name="bn"), images()
    for module in (noisy, bn):
        module(x)
        module.eval()
    torch.testing.assert_close(noisy(x), 1.25 * bn(x))
    with using_batch_statistics(noisy), using_batch_statistics(bn):
        torch.testing.assert_close(noisy(x), 1.25 * bn(x))


def test_a_network_that_hardly_learns_moves_with_it_in_every_step(tmp_path):
    """A look that always drew the same would call it steady."""
    asked = ("model=mlp", "optimizer.base_lr=1e-6", "probes=[moves]", "probe_steps=[0,3]")
    for norm in ("bn", "bn_noisy"):
        tiny_run(tmp_path / norm, f"norm={norm}", *asked)
    moved = {
        norm: [
            layer["distance"]
            for line in (tmp_path / norm / "probes.jsonl").read_text().splitlines()
            for layer in json.loads(line)["moves"]["activations"].values()
        ]
        for norm in ("bn", "bn_noisy")
    }
    assert max(moved["bn"]) < 0.01
    # step 0 is looked at with the noise that the first step has
    assert max(moved["bn_noisy"][:3]) < 0.01
    assert min(moved["bn_noisy"][3:]) > 0.1


def test_torchs_state_dicts_load_and_its_own_brings_the_noise_back():
    noisy, other = layer(), layer(seed=1)
    before = drawn(noisy, 3)
    noisy.load_state_dict(torch.nn.BatchNorm2d(CHANNELS).state_dict())
    assert torch.equal(torch.cat([noisy.noise_scale, noisy.noise_shift]), before)
    other.load_state_dict(noisy.state_dict())
    assert torch.equal(other(images()), noisy(images()))


def test_without_range_it_is_bn():
    noisy, bn = layer(scale=1.0, shift=0.0), layer(name="bn")
    assert torch.equal(noisy(images()), bn(images()))


@pytest.mark.parametrize(("option", "must"), [({"scale": 0.5}, "1 or more"), ({"shift": -1.0}, "0 or more")])
def test_a_range_that_cannot_be_is_refused(option, must):
    with pytest.raises(UsageError, match=f"must be {must}"):
        build_norm("bn_noisy", CHANNELS, **option)
