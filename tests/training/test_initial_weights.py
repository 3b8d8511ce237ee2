"""A user would take n seeds for n samples although they share draws."""

import itertools

import pytest
import torch
from tiny_runs import tiny_config
from torch import nn

from bnrepro.data import load_data
from bnrepro.data.draws import epoch_table
from bnrepro.models import build_model
from bnrepro.norms import NORMS
from bnrepro.training.session import Session, initial_weights

CPU = torch.device("cpu")


def prepared(*overrides: str) -> Session:
    config = tiny_config(*overrides)
    return Session.prepare(config, load_data(config.data), CPU)


def test_no_two_of_many_seeds_and_epochs_have_the_same_draws():
    """Not even seed 1, epoch 0 and seed 0, epoch 1."""
    pairs = list(itertools.product(range(30), range(30)))
    tables = [epoch_table(seed, epoch, 64, 4, "crop_flip") for seed, epoch in pairs]
    for draws in ("order", "dy", "dx", "flip"):
        assert len({tuple(getattr(table, draws).tolist()) for table in tables}) == len(pairs)


def test_statistics_precise_have_draws_of_their_own():
    train, precise = (epoch_table(0, 3, 64, 4, "crop_flip", stream=stream) for stream in ("train", "precise"))
    assert not torch.equal(train.order, precise.order)
    assert not torch.equal(train.dy, precise.dy)


def test_seeds_start_from_different_weights():
    weights = set()
    for seed in range(20):
        with initial_weights(seed):
            weights.add(tuple(build_model("resnet8").conv.weight.flatten().tolist()))
    assert len(weights) == 20


def test_drawing_weights_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with initial_weights(0):
        torch.rand(100)
    assert torch.equal(torch.rand(4), expected)


def drawn(*overrides: str) -> list[torch.Tensor]:
    """The weights of convolutions and classifier: all that is random."""
    return [
        module.weight
        for module in prepared(*overrides).trainer.model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]


@pytest.mark.parametrize("other", ["batch_size=2", "protocol=workers", "epochs=7", "model.first_stride=2"])
def test_a_seed_means_the_same_weights_in_every_arm(other):
    torch.rand(1)
    assert all(torch.equal(a, b) for a, b in zip(drawn(), drawn(other), strict=True))


@pytest.mark.parametrize("model", ["resnet8", "resnet18"])
@pytest.mark.parametrize("norm", sorted(NORMS))
def test_a_seed_means_the_same_weights_under_every_norm(norm, model):
    """Seeds are paired over norms: their differences are compared. Fixup rescales them by its own rule."""
    ours, theirs = drawn(f"model={model}"), drawn(f"model={model}", f"norm={norm}")
    for ours_one, theirs_one in zip(ours, theirs, strict=True):
        scale = 1.0
        if norm == "fixup":
            scale = (theirs_one.norm() / ours_one.norm()).item()
        assert torch.allclose(ours_one * scale, theirs_one, rtol=1e-6 if scale != 1 else 0, atol=0)


def test_a_seed_means_the_same_draws_in_every_arm():
    ours = prepared().table(2)
    theirs = prepared("norm=none", "batch_size=2", "protocol=workers").table(2)
    assert torch.equal(ours.order, theirs.order)
    assert torch.equal(ours.dy, theirs.dy)


def test_seed_0_is_a_seed():
    assert torch.equal(prepared("seed=0").table(0).order, prepared("seed=0").table(0).order)
    assert not torch.equal(prepared("seed=0").table(0).order, prepared("seed=1").table(0).order)
