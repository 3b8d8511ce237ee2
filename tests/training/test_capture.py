"""A user on a GPU would train something else, because a recorded step is replayed as it was recorded.

Without a GPU the step is recorded by a stand-in that runs it again on the same tensors: everything but the
graph itself. The tests marked `gpu` compare the real thing with plain steps.
"""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_runs import record, tiny_config, tiny_run

from bnrepro.config.compose import choices
from bnrepro.data import load_data
from bnrepro.training.capture import WARM_UP_STEPS
from bnrepro.training.checkpoint import Position
from bnrepro.training.device import prepare_device
from bnrepro.training.lockstep import Lockstep
from bnrepro.training.session import Session

RUN = ("data.train_subset=64", "batch_size=8", "epochs=2")
PROTOCOLS = choices("protocol")


def run_again(step):
    """What `cuda_graph` does, without a graph: warm up, record into one tensor, replay into the same."""
    for _ in range(WARM_UP_STEPS):
        step()
    result = step()

    def replay():
        result.copy_(step())

    return result, replay


def session(*overrides, seed=0, device="cpu", recorded=False):
    config = tiny_config(*RUN, f"seed={seed}", f"device={device}", *overrides)
    made = Session.prepare(config, load_data(config.data), prepare_device(config))
    if recorded:
        made = dataclasses.replace(made, trainer=dataclasses.replace(made.trainer, record=run_again))
    return made


def trained(made):
    """Losses and state after an epoch and a half, saved and restored in between."""
    position = Position()
    made.trainer.train_epoch(made.table(0), position, lambda chunk: None)
    position.epoch += 1
    position.next_epoch()
    made.trainer.train_epoch(made.table(1), position, lambda chunk: None)
    return position.losses(), made.state(position)


@pytest.mark.parametrize("norm", choices("norm"))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_recorded_steps_are_the_plain_ones(norm, protocol):
    """Learning rate, schedules of the norm, running statistics, momentum; and no trace of the warm-up."""
    sizes = {"workers": ("protocol.workers=2",), "fixed_sgd": ("protocol.sgd_batch_size=16",)}
    overrides = (f"norm={norm}", f"protocol={protocol}", *sizes.get(protocol, ()))
    plain_losses, plain = trained(session(*overrides))
    losses, state = trained(session(*overrides, recorded=True))
    assert torch.equal(losses, plain_losses)
    torch.testing.assert_close(state["model"], plain["model"], rtol=0, atol=0)
    torch.testing.assert_close(state["optimizer"], plain["optimizer"], rtol=0, atol=0)


def test_recorded_steps_in_lockstep_are_the_plain_ones():
    def losses(recorded):
        together = Lockstep([session("norm=brn", seed=seed, recorded=recorded) for seed in (0, 1)])
        positions = [Position(), Position()]
        together.train_epoch(positions, lambda chunk: None)
        return torch.stack([position.losses() for position in positions])

    assert torch.equal(losses(recorded=True), losses(recorded=False))


def test_a_checkpoint_of_recorded_steps_goes_on_with_plain_ones_and_back():
    """On another device, or with cuda_graph=false after a failed recording."""
    first, other = session(recorded=True), session()
    position = Position()
    first.trainer.train_epoch(first.table(0), position, lambda chunk: None)
    other.restore(first.state(position))
    assert all(isinstance(group["lr"], float) for group in other.trainer.optimizer.param_groups)
    torch.testing.assert_close(other.state(position)["model"], first.state(position)["model"])


@pytest.mark.gpu
@pytest.mark.parametrize("norm", choices("norm"))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_graph_of_a_step_trains_as_plain_steps(norm, protocol):
    """Every norm can be recorded, and the losses of 16 steps are those of plain steps, up to rounding."""
    sizes = {"workers": ("protocol.workers=2",), "fixed_sgd": ("protocol.sgd_batch_size=16",)}
    overrides = (f"norm={norm}", f"protocol={protocol}", *sizes.get(protocol, ()), "deterministic=true")
    plain, _ = trained(session(*overrides, "cuda_graph=false", device="cuda"))
    graph, _ = trained(session(*overrides, device="cuda"))
    torch.testing.assert_close(graph, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_no_step_waits_for_the_host():
    """A hidden synchronization would make small batches as slow as the host."""
    made = session("batch_size=4", device="cuda")
    trained(made)
    x, y = next(made.trainer.feed.train_batches(made.table(0), [slice(0, 32)]))
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses, wrong = made.trainer._steps(x.split(4), y.split(4), 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert losses.shape == (8,)
    assert 0 <= wrong.item() <= 32


@pytest.mark.gpu
def test_graph_in_lockstep_trains_as_each_alone():
    def first_losses(position):
        return position.losses()[:4]

    alone = []
    for seed in (0, 1, 2):
        one, position = session(seed=seed, device="cuda"), Position()
        one.trainer.train_epoch(one.table(0), position, lambda chunk: None)
        alone.append(first_losses(position))
    together = Lockstep([session(seed=seed, device="cuda") for seed in (0, 1, 2)])
    positions = [Position() for _ in alone]
    together.train_epoch(positions, lambda chunk: None)
    found = torch.stack([first_losses(position) for position in positions])
    torch.testing.assert_close(found, torch.stack(alone), rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_run_on_the_gpu_learns_digits(tmp_path: Path, precision):
    overrides = ("device=cuda", "data.train_subset=null", "epochs=4", f"precision={precision}")
    result = tiny_run(tmp_path / "run", *overrides)
    assert result["status"] == "completed"
    assert result["error"]["running"] < 30
    assert record(tmp_path / "run")["metrics"]
