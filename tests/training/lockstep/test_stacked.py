"""A user would get other results for a cell because it trained together with other seeds."""

import pytest
import torch
from tiny_runs import tiny_config

from bnrepro.config.files import choices
from bnrepro.data import load_data
from bnrepro.data.resident import ResidentFeed
from bnrepro.norms import NORMS, traits_of
from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.training.lockstep.stacked import Lockstep
from bnrepro.training.position import Position
from bnrepro.training.process.device import prepare_device
from bnrepro.training.session import Session

CPU = torch.device("cpu")
SEEDS = (0, 1)
MIXING = [name for name, factory in NORMS.items() if traits_of(factory).mixed is not None]


def double(seed, *overrides):
    """A session whose model and images are float64."""
    config = tiny_config("data.train_subset=20", "batch_size=2", f"seed={seed}", *overrides)
    prepare_device(config)
    dataset = load_data(config.data)
    feed = ResidentFeed(
        dataset.train, dataset.mean, dataset.std, config.data.padding, config.data.augment, CPU, torch.float64
    )
    session = Session.prepare(config, dataset, CPU, feeds=(feed, feed))
    model = session.trainer.model.double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                # Centred filters (mabn) make zeros of an even background, which rounding may put on either
                # side of a ReLU: off that edge, as after a few steps.
                parameter.add_(0.01)
    return session


def train_alone(session, epochs):
    position = Position()
    for _ in range(epochs):
        session.trainer.train_epoch(session.table(position.epoch), position, lambda chunk: None)
        position.epoch += 1
        position.step = 0
    return position


def assert_as_alone(cells):
    """In float64: losses, wrong guesses, parameters, running statistics and momentum after two epochs."""
    alone = [double(*cell) for cell in cells]
    expected = [train_alone(session, 2) for session in alone]
    sessions = [double(*cell) for cell in cells]
    together, positions = Lockstep(sessions), [Position() for _ in cells]
    for epoch in range(2):
        assert together.train_epoch(positions, lambda chunk: None) == [None] * len(cells)
        for position in positions:
            position.epoch, position.step = epoch + 1, 0
    for one, own, position, other in zip(alone, expected, positions, sessions, strict=True):
        torch.testing.assert_close(position.losses(), own.losses(), rtol=2e-7, atol=0)
        assert position.wrong() == own.wrong()
        wanted = one.state(own)
        for part in ("model", "optimizer"):
            torch.testing.assert_close(other.state(own)[part], wanted[part], rtol=1e-7, atol=1e-9)
    assert len({position.losses()[-1].item() for position in positions}) == len(cells)


@pytest.mark.parametrize("norm", choices("norm"))
def test_every_member_is_what_it_would_be_alone(norm):
    overrides = (f"norm={norm}", "protocol=workers", "protocol.workers=2", "epochs=2")
    assert_as_alone([(seed, *overrides) for seed in SEEDS])


def test_images_for_the_statistics_alone_are_each_members_own():
    assert_as_alone([(seed, "norm=bn", "protocol.norm_batch_size=6", "epochs=2") for seed in SEEDS])


def test_norms_know_that_they_are_stacked():
    """On a GPU one that did not would ask `vmap` for what it has no answer to."""
    sessions = [double(seed, "norm=bn") for seed in SEEDS]
    together = Lockstep(sessions)
    assert all(layer.stacked for layer in batch_statistics_layers(together.template).values())
    for session in sessions:
        assert not any(layer.stacked for layer in batch_statistics_layers(session.trainer.model).values())


@pytest.mark.parametrize("norm", MIXING)
def test_normalization_batches_of_other_sizes_train_in_one_stack(norm):
    """All cells of a norm in fixed_sgd differ in how images are grouped, and in nothing else."""
    common = (f"norm={norm}", "protocol=fixed_sgd", "protocol.sgd_batch_size=4", "epochs=2")
    cells = [(seed, *common, f"batch_size={size}") for seed in SEEDS for size in (1, 2, 4)]
    assert_as_alone(cells)


def test_other_norms_do_not_mix_their_normalization_batches():
    common = ("norm=brn", "protocol=fixed_sgd", "protocol.sgd_batch_size=4")
    with pytest.raises(ValueError, match=r"\[1, 2\] do not mix"):
        Lockstep([double(0, *common, f"batch_size={size}") for size in (1, 2)])
