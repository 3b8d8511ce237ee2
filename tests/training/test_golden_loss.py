"""A user would train something else than the last release did, and no test that looks at parts would tell.

The losses of 20 steps: digits, ResNet-8, batch size 16, seed 0. Who changes them on purpose takes the new ones
from the failing test's message, and says so in CHANGELOG.md.
"""

import pytest
import torch
from tiny_runs import tiny_config

from bnrepro.data import load_data
from bnrepro.training.checkpoint import Position
from bnrepro.training.session import Session

STEPS = 20
GOLDEN: dict[str, list[float]] = {}


def losses(norm: str) -> list[float]:
    config = tiny_config(f"norm={norm}", f"data.train_subset={16 * STEPS}", "batch_size=16", "epochs=1")
    session = Session.prepare(config, load_data(config.data), torch.device("cpu"))
    position = Position()
    session.trainer.train_epoch(session.table(0), position, lambda chunk: None)
    return position.losses().tolist()


@pytest.mark.parametrize("norm", sorted(GOLDEN))
def test_losses_are_those_of_the_last_release(norm):
    found = losses(norm)
    # other CPUs and versions of torch round differently, and every step doubles that or so
    assert found[:5] == pytest.approx(GOLDEN[norm][:5], rel=1e-4), found
    assert found == pytest.approx(GOLDEN[norm], rel=1e-2), found
