"""A user would train something else, because a replayed step stays as it was captured.

On a CPU its operations are traced. For the CUDA graph there is a stand-in that takes the step again on the
same tensors: everything but the graph itself. The tests marked `gpu` compare the real thing with plain steps.
"""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from tiny_runs import record, tiny_config, tiny_run
from torch import nn

from bnrepro.config.errors import UsageError
from bnrepro.config.files import choices
from bnrepro.config.identity import config_hash
from bnrepro.config.validate import PROTOCOLS
from bnrepro.data import load_data
from bnrepro.training.lockstep.stacked import Lockstep
from bnrepro.training.position import Position
from bnrepro.training.process.device import prepare_device
from bnrepro.training.session import Session
from bnrepro.training.step.cpu_replay import replay_operations
from bnrepro.training.step.cuda_graph import WARM_UP_STEPS
from bnrepro.training.step.replayed import ReplayedStep, where_possible
from bnrepro.training.trainer import take_steps

RUN = ("data.train_subset=64", "batch_size=8", "epochs=2")


def run_again(take, state, x, y):
    """What `capture_graph` does, without a graph: warm up, capture into one tensor, replay into the same."""
    static_x, static_y = x.clone(), y.clone()
    for _ in range(WARM_UP_STEPS):
        take(static_x, static_y)
    outputs = take(static_x, static_y)

    def replay(x, y):
        static_x.copy_(x)
        static_y.copy_(y)
        outputs.copy_(take(static_x, static_y))
        return outputs.clone()

    return replay


WAYS = {"stand-in": run_again, "operations": replay_operations}


def session(*overrides, seed=0, device="cpu", make_replay=None, config_dir=None):
    config = tiny_config(*RUN, f"seed={seed}", f"device={device}", *overrides, config_dir=config_dir)
    made = Session.prepare(config, load_data(config.data), prepare_device(config))
    if make_replay:
        made = dataclasses.replace(made, trainer=dataclasses.replace(made.trainer, make_replay=make_replay))
    return made


def trained(made):
    """Losses and state after an epoch and a half, saved and restored in between."""
    position = Position()
    made.trainer.train_epoch(made.table(0), position, lambda chunk: None)
    position.epoch += 1
    position.next_epoch()
    made.trainer.train_epoch(made.table(1), position, lambda chunk: None)
    return position.losses(), made.state(position)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("norm", choices("norm"))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_replayed_steps_are_the_plain_ones(norm, protocol, way):
    """Learning rate, schedules of the norm, running statistics, momentum; and no trace of the warm-up."""
    sizes = {"workers": ("protocol.workers=2",), "fixed_sgd": ("protocol.sgd_batch_size=16",)}
    overrides = (f"norm={norm}", f"protocol={protocol}", *sizes.get(protocol, ()))
    plain_losses, plain = trained(session(*overrides))
    made = session(*overrides, make_replay=WAYS[way])
    losses, state = trained(made)
    assert made.trainer.step.replays
    assert torch.equal(losses, plain_losses)
    torch.testing.assert_close(state["model"], plain["model"], rtol=0, atol=0)
    torch.testing.assert_close(state["optimizer"], plain["optimizer"], rtol=0, atol=0)


@pytest.mark.parametrize("way", WAYS)
def test_replayed_steps_with_images_for_the_statistics_alone_are_the_plain_ones(way):
    plain_losses, plain = trained(session("protocol.norm_batch_size=20"))
    made = session("protocol.norm_batch_size=20", make_replay=WAYS[way])
    losses, state = trained(made)
    assert made.trainer.step.replays
    assert torch.equal(losses, plain_losses)
    torch.testing.assert_close(state["model"], plain["model"], rtol=0, atol=0)


@pytest.mark.parametrize("model", ["mlp", "lstm"])
@pytest.mark.parametrize("norm", ["bn", "bn_noisy", "ln", "none"])
def test_replayed_steps_of_the_claims_networks_are_the_plain_ones(model, norm):
    overrides = (f"model={model}", f"norm={norm}", "optimizer=adam", "optimizer.clip_norm=0.1")
    plain_losses, plain = trained(session(*overrides))
    made = session(*overrides, make_replay=replay_operations)
    losses, state = trained(made)
    assert made.trainer.step.replays
    assert torch.equal(losses, plain_losses)
    # a replay also keeps zeros for a bias that is not trained
    kept = {number: state["optimizer"][number] for number in plain["optimizer"]}
    torch.testing.assert_close(kept, plain["optimizer"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("overrides", "recorded"),
    [
        (("epochs=13",), False),  # 104 steps
        (("epochs=40",), True),  # 320
        (("epochs=40", "data.train_subset=1024", "batch_size=1024"), False),
        (("epochs=200", "data.train_subset=1024", "batch_size=512"), False),  # 400 of half a thousand images
    ],
)
def test_a_step_is_recorded_only_in_a_run_that_gains_by_it(overrides, recorded):
    """A short run, or one of large batches, would take longer."""
    assert isinstance(session(*overrides).trainer.step, ReplayedStep) is recorded


FIXED_SGD = ("protocol=fixed_sgd", "protocol.sgd_batch_size=8")
TOGETHER = {
    "seeds": [(seed, "norm=brn") for seed in (0, 1)],
    "batch sizes": [(0, "norm=bn", *FIXED_SGD, f"batch_size={size}") for size in (1, 4)],
}


@pytest.mark.parametrize("cells", TOGETHER.values(), ids=TOGETHER)
@pytest.mark.parametrize("way", WAYS)
def test_replayed_steps_in_lockstep_are_the_plain_ones(way, cells):
    def losses(make_replay):
        together = Lockstep([session(*cell, seed=seed, make_replay=make_replay) for seed, *cell in cells])
        positions = [Position(), Position()]
        together.train_epoch(positions, lambda chunk: None)
        return torch.stack([position.losses() for position in positions])

    assert torch.equal(losses(WAYS[way]), losses(None))


def test_a_checkpoint_of_replayed_steps_goes_on_with_plain_ones_and_back():
    """On another device, or with capture=false after a failed capture."""
    first, other = session(make_replay=replay_operations), session()
    position = Position()
    first.trainer.train_epoch(first.table(0), position, lambda chunk: None)
    other.restore(first.state(position))
    assert all(isinstance(group["lr"], float) for group in other.trainer.plain.optimizer.param_groups)
    torch.testing.assert_close(other.state(position)["model"], first.state(position)["model"])


class Counting(nn.Module):
    """A norm of a user's own that keeps a number in Python: a replay would go on with the captured one."""

    def __init__(self, num_channels):
        super().__init__()
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        return x / self.steps


class Scheduled(nn.Module):
    """The same, of the run's schedule: right for a while, and then not."""

    def __init__(self, num_channels):
        super().__init__()
        self.scale = 1.0

    def schedule(self, step, total_steps):
        self.scale = 1.0 if step < total_steps / 2 else 0.5

    def forward(self, x):
        return x * self.scale


class Reading(nn.Module):
    """One that looks at a value, which no replay can hold."""

    def __init__(self, num_channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))

    def forward(self, x):
        return x * self.weight.view(-1, 1, 1) / self.weight.detach().max().item()


@pytest.mark.parametrize("norm", [Counting, Scheduled, Reading])
def test_a_norm_that_cannot_be_replayed_is_trained_step_by_step(norm, tmp_path):
    """A user's norm would train as if nothing of it ever changed, and without a word."""
    norms = tmp_path / "norm"
    norms.mkdir()
    norms.joinpath("mine.yaml").write_text(f"name: mine\nfactory: {__name__}:{norm.__name__}\n")
    made, plain = (
        session("norm=mine", config_dir=tmp_path, make_replay=way) for way in (replay_operations, None)
    )
    losses = trained(made)[0]
    expected = trained(plain)[0]
    assert not made.trainer.step.replays
    assert math.isfinite(losses.sum())
    if norm is not Counting:  # which has counted the steps of the capture too
        assert torch.equal(losses, expected)


def cannot_capture(take, state, x, y):
    """A capture that breaks off in the middle of a step, as one on a GPU may."""
    take(x, y)
    raise RuntimeError("operation not permitted\nwhen stream is capturing")


def test_a_capture_that_fails_is_said_in_a_line_and_plain_steps_train(capsys):
    """A driver or a norm that nobody had tried would end the run that trains without a graph."""
    made, plain = session(make_replay=where_possible(cannot_capture)), session()
    losses, state = trained(made)
    expected, expected_state = trained(plain)
    assert torch.equal(losses, expected)
    torch.testing.assert_close(state["model"], expected_state["model"], rtol=0, atol=0)
    (line,) = capsys.readouterr().err.splitlines()
    assert "steps are taken one by one" in line and "not permitted when stream is capturing" in line
    with pytest.raises(RuntimeError, match="not permitted"):
        trained(session(make_replay=cannot_capture))


def test_an_error_of_the_step_itself_is_not_blamed_on_the_capture(capsys):
    def cannot_step(*_):
        raise RuntimeError("out of memory")

    made = session(make_replay=where_possible(cannot_capture))
    made.trainer.plain.gradients = cannot_step
    with pytest.raises(RuntimeError, match="out of memory"):
        trained(made)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("capture", ["auto", "true", "false"])
def test_capture_can_be_asked_for_and_changes_no_hash(capture):
    """Directories of runs from before `auto` go on."""
    config = tiny_config(f"capture={capture}")
    assert config.capture == {"auto": "auto", "true": True, "false": False}[capture]
    assert config_hash(config) == config_hash(tiny_config())
    with pytest.raises(UsageError, match=r"capture=maybe: must be true or false or auto"):
        tiny_config("capture=maybe")


def test_the_gradient_of_the_network_keeps_its_channels_last():
    """A CPU would spend a sixth of a step at 16 images on bringing channels from first to last."""
    model = session().trainer.model
    kept = []
    for block in model.blocks:
        block.register_full_backward_hook(lambda block, inputs, outputs: kept.append(outputs[0]))
    model(torch.randn(8, 1, 8, 8).to(memory_format=torch.channels_last)).sum().backward()
    assert len(kept) == len(model.blocks)
    assert all(gradient.is_contiguous(memory_format=torch.channels_last) for gradient in kept)


@pytest.mark.gpu
@pytest.mark.parametrize("norm", choices("norm"))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_graph_of_a_step_trains_as_plain_steps(norm, protocol):
    """Every norm can be captured, and the losses of 16 steps are those of plain steps."""
    sizes = {"workers": ("protocol.workers=2",), "fixed_sgd": ("protocol.sgd_batch_size=16",)}
    overrides = (f"norm={norm}", f"protocol={protocol}", *sizes.get(protocol, ()), "deterministic=true")
    plain, _ = trained(session(*overrides, "capture=false", device="cuda"))
    graph, _ = trained(session(*overrides, device="cuda"))
    torch.testing.assert_close(graph, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_graph_of_a_step_with_images_for_the_statistics_alone_trains_as_plain_steps():
    overrides = ("protocol.norm_batch_size=20", "deterministic=true")
    plain, _ = trained(session(*overrides, "capture=false", device="cuda"))
    graph, _ = trained(session(*overrides, device="cuda"))
    torch.testing.assert_close(graph, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_no_step_waits_for_the_host():
    """A hidden synchronization would make small batches as slow as the host."""
    made = session("batch_size=4", device="cuda")
    trained(made)
    x, y = next(made.trainer.feed.train_batches(made.table(0), [slice(0, 32)]))
    try:
        torch.cuda.set_sync_debug_mode("error")
        losses, wrong = take_steps(made.trainer.step, made.task, x, y, 4, 0)
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
