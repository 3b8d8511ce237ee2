"""A user would lose a norm in some command: what every norm has to keep, whatever it computes."""

import inspect
from typing import Literal, get_args, get_origin

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch.func import functional_call, grad, stack_module_state, vmap

from bnrepro.config.errors import UsageError
from bnrepro.config.paths import config_directory
from bnrepro.config.ranges import Range
from bnrepro.models import build_model
from bnrepro.norms import NORMS, NormLayers, build_norm, find_factory
from bnrepro.norms.batch_statistics import BatchStatistics, batch_statistics_layers
from bnrepro.norms.registry import CONTEXT

EVERY = sorted(NORMS)
SHORT = {"mabn": {"window": 2, "warmup_steps": 2}}
"""Options with which a few steps reach every part of a norm."""


def network(name, norm_batch_size=4, sgd_batch_size=8, dtype=torch.float32, **options):
    torch.manual_seed(0)
    context = {"norm_batch_size": norm_batch_size, "sgd_batch_size": sgd_batch_size}
    layers = NormLayers(find_factory(name), {**SHORT.get(name, {}), **options}, context)
    return build_model("resnet8", norm=layers, shortcut="projection").to(dtype)


def batch(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, 16, 16, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.arange(8)


def train(model, steps, lr=0.1):
    """Losses of SGD steps on one batch."""
    x, labels = batch(next(model.parameters()).dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses = []
    for step in range(steps):
        schedule(model, step, steps)
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def schedule(model, step, steps):
    for module in model.modules():
        if hasattr(module, "schedule"):
            module.schedule(step, steps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_it_trains(name, dtype):
    losses = train(network(name, dtype=dtype), steps=16)
    assert torch.tensor(losses).isfinite().all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", EVERY)
def test_it_says_truly_whether_it_sees_the_batch(name):
    model = network(name)
    train(model, steps=1)
    x, _ = batch()
    other = x.clone()
    other[1:4] = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        before, after = model(x)[0], model(other)[0]
    sees = not torch.allclose(before, after, atol=1e-4)
    factory = find_factory(name)
    assert sees is factory.traits.batch_statistics
    assert bool(batch_statistics_layers(model)) is factory.traits.batch_statistics


@pytest.mark.parametrize("name", EVERY)
def test_evaluation_changes_nothing_and_sees_one_image_at_a_time(name):
    model = network(name)
    train(model, steps=3)
    model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x, _ = batch()
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(image) for image in x.split(1)])
    assert torch.allclose(together, alone, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", EVERY)
def test_its_yaml_has_every_option_with_the_factorys_default(name):
    values = yaml.safe_load((config_directory() / "norm" / f"{name}.yaml").read_text())
    parameters = inspect.signature(NORMS[name]).parameters
    options = {key: p.default for key, p in parameters.items() if key not in {"num_channels", *CONTEXT}}
    assert values.pop("label")
    assert values == {"name": name, **options}
    assert NORMS[name].__doc__


@pytest.mark.parametrize("name", EVERY)
def test_every_option_has_a_range(name):
    """Else `norm.eps=-1` would train, and end as a divergence."""
    for key, parameter in inspect.signature(NORMS[name], eval_str=True).parameters.items():
        hint = parameter.annotation
        if key in {"num_channels", *CONTEXT} or hint is bool:
            continue
        if get_origin(hint) is Literal:
            with pytest.raises(UsageError, match=rf"norm\.{key}=-1: choices: "):
                build_norm(name, 8, **{key: "-1"})
            continue
        assert any(isinstance(part, Range) for part in get_args(hint)), key
        with pytest.raises(UsageError, match=rf"norm\.{key}=-1: must be "):
            build_norm(name, 8, **{key: -1})


@pytest.mark.parametrize("name", [name for name in EVERY if NORMS[name].traits.batch_statistics])
def test_evaluation_gets_what_it_needs_of_a_batch_norm(name):
    """Every group's moments in training, and running buffers that a population's moments can replace."""
    model = network(name)
    layer = next(module for module in model.modules() if isinstance(module, BatchStatistics))
    inputs, seen = [], []
    layer.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    layer.observer = lambda mean, var: seen.append((mean, var))
    train(model, steps=1)
    groups = inputs[0].unflatten(0, (-1, layer.norm_batch_size))
    torch.testing.assert_close(seen[0][0], groups.mean((1, 3, 4)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen[0][1], groups.var((1, 3, 4), correction=0), atol=1e-5, rtol=1e-4)
    buffers = layer.population_buffers(seen[0][0].mean(0), seen[0][1].mean(0))
    assert buffers
    assert all(getattr(layer, key).shape == value.shape for key, value in buffers.items())


@pytest.mark.parametrize("name", EVERY)
def test_every_buffer_that_training_changes_says_what_it_is(name):
    """Else accumulation and several processes would take it for a constant, and train something else."""
    model = network(name)
    before = {key: value.clone() for key, value in model.named_buffers()}
    train(model, steps=2)
    changed = {key for key, value in model.named_buffers() if not torch.equal(value, before[key])}
    known = {
        f"{layer}.{key}"
        for layer, module in batch_statistics_layers(model).items()
        for key in (*module.averages, *module.windows, *module.counters)
    }
    scheduled = {
        key for key in changed if key.endswith(("frozen", "r_max", "d_max", "noise_scale", "noise_shift"))
    }
    assert changed - scheduled == known


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in EVERY), *(("bn", {"affine": part}) for part in ("none", "weight", "bias"))],
)
def test_models_in_lockstep_train_as_they_would_alone(name, options):
    """Under `vmap` over stacked parameters and buffers: gradients and running statistics, over four steps."""
    models = [network(name, dtype=torch.float64, **options) for _ in range(2)]
    for model in models:
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    params, buffers = stack_module_state(models)
    params = {key: value.detach() for key, value in params.items()}
    x, labels = batch(torch.float64)
    images = torch.stack([x, x.flip(0) * 0.5])

    def loss(params, buffers, x):
        return F.cross_entropy(functional_call(models[0], (params, buffers), (x,)), labels)

    for _ in range(4):
        together = vmap(grad(loss), in_dims=(0, 0, 0))(params, buffers, images)
        for i, model in enumerate(models):
            model.zero_grad()
            F.cross_entropy(model(images[i]), labels).backward()
            for key, parameter in model.named_parameters():
                torch.testing.assert_close(together[key][i], parameter.grad, atol=1e-9, rtol=1e-7)
            for key, value in model.named_buffers():
                torch.testing.assert_close(buffers[key][i], value, atol=1e-9, rtol=1e-7)
    assert together


@pytest.mark.parametrize("name", EVERY)
def test_under_bf16_autocast_its_statistics_stay_float32(name):
    model = network(name)
    x, labels = batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(x), labels)
    loss.backward()
    full = F.cross_entropy(network(name)(x), labels)
    assert abs(loss.item() - full.item()) < 0.02 * full.item()
    assert all(value.dtype != torch.bfloat16 for value in model.state_dict().values())


@pytest.mark.parametrize("name", EVERY)
def test_bf16_activations_stay_bf16(name):
    def layer():
        torch.manual_seed(0)
        return NormLayers(find_factory(name), {}, {"default_groups": 8}).norm(16)

    x = torch.randn(4, 16, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer()(x.bfloat16())
    expected = layer()(x)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), expected, atol=0.05, rtol=0.05)
