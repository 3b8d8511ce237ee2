"""A user would lose the freezing: that training then is what the test does, and that it stays so."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm
from bnrepro.norms.batch_statistics import using_batch_statistics

CHANNELS, PROCESSES, STEPS = 3, 2, 6


def layer(norm_batch_size=2, name="bn_frozen"):
    torch.manual_seed(0)
    made = build_norm(name, CHANNELS, norm_batch_size=norm_batch_size).double()
    with torch.no_grad():
        made.weight.normal_()
        made.bias.normal_()
        made.running_mean.normal_()
        made.running_var.uniform_(0.3, 3)
    return made


def step(module, x):
    own = x.clone().requires_grad_()
    y = module(own)
    y.sin().sum().backward()
    return [y, own.grad, module.weight.grad, module.bias.grad, module.running_mean, module.running_var]


def images():
    return torch.randn(6, CHANNELS, 3, 3, dtype=torch.float64)


def test_up_to_the_freezing_it_is_bn():
    frozen, bn, x = layer(), layer(name="bn"), images()
    frozen.schedule(79, 100)
    for ours, theirs in zip(step(frozen, x), step(bn, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert frozen.num_batches_tracked == bn.num_batches_tracked


def test_then_training_is_the_test_rule_with_constant_statistics():
    frozen, evaluated, x = layer(), layer(name="bn").eval(), images()
    frozen.schedule(80, 100)
    for ours, theirs in zip(step(frozen, x), step(evaluated, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert frozen.training


@pytest.mark.parametrize("at", [0, 99])
def test_gradcheck_before_and_after(at):
    frozen = layer()
    frozen.schedule(at, 100)
    x = images()[:4, :, :2, :2].requires_grad_()
    # gradcheck calls again and again: the running statistics must stay where they are
    frozen.momentum = 0.0
    assert torch.autograd.gradcheck(frozen, (x,))


def test_using_batch_statistics_a_frozen_layer_sees_the_batch():
    frozen = layer(norm_batch_size=None)
    frozen.schedule(99, 100)
    with using_batch_statistics(frozen):
        y = frozen(images())
    assert torch.allclose(y.mean((0, 2, 3)), frozen.bias, atol=1e-12)


@pytest.mark.parametrize(("freeze_after", "frozen_steps"), [(0.0, 10), (0.8, 2), (0.75, 2), (1.0, 0)])
def test_freeze_after_is_a_fraction_of_the_run(freeze_after, frozen_steps):
    module = build_norm("bn_frozen", CHANNELS, freeze_after=freeze_after)
    count = 0
    for at in range(10):
        module.schedule(at, 10)
        count += module.frozen.item()
    assert count == frozen_steps


def test_a_fraction_that_is_none_is_refused():
    with pytest.raises(UsageError) as error:
        build_norm("bn_frozen", CHANNELS, freeze_after=80.0)
    assert "norm.freeze_after=80: must be 0 to 1" in str(error.value)


def all_steps(part):
    """The outputs of a run that freezes in its middle, on this process's part of each batch."""
    module = build_norm("bn_frozen", CHANNELS, norm_batch_size=2, freeze_after=0.5).double()
    generator = torch.Generator().manual_seed(0)
    outputs = []
    for at in range(STEPS):
        module.schedule(at, STEPS)
        batch = 1 + torch.randn(4, CHANNELS, 3, 2, dtype=torch.float64, generator=generator)
        outputs.append(module(part(batch)).detach())
    return [*outputs, module.running_mean, module.running_var]


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    torch.save(all_steps(lambda batch: batch.chunk(PROCESSES)[rank]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_freeze_what_one_does(tmp_path):
    """In the middle of an epoch too, when their running statistics are still apart."""
    mp.spawn(work, args=(str(tmp_path),), nprocs=PROCESSES)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES))
    alone = all_steps(lambda batch: batch)
    for at in range(STEPS):
        together = torch.cat([first[at], second[at]])
        torch.testing.assert_close(together, alone[at], rtol=0, atol=1e-10)
    for ours, theirs, whole in zip(first[STEPS:], second[STEPS:], alone[STEPS:], strict=True):
        torch.testing.assert_close(ours, whole, rtol=0, atol=1e-10)
        assert torch.equal(ours, theirs)
