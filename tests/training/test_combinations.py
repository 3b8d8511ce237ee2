"""A user would combine data, model, norm and protocol, and meet a crash."""

import itertools
from dataclasses import replace

import pytest
import torch
from tiny_runs import folder_overrides, image_folder, tiny_config

from bnrepro.config.files import choices
from bnrepro.config.validate import PROTOCOLS, STATISTICS
from bnrepro.data import load_data
from bnrepro.training.position import Position
from bnrepro.training.session import Session

DATA = ("digits", "image_folder")
SHORTCUTS = ("identity", "projection")
NORMS = choices("norm")
CASES = [
    (norm, protocol, DATA[(row + n) % 2], SHORTCUTS[(row // 2 + n // 2) % 2])
    for n, norm in enumerate(NORMS)
    for row, protocol in enumerate(PROTOCOLS)
]
BATCH = 4
WORKERS = 2


def test_the_cases_hold_every_pair():
    for i, j in itertools.combinations(range(4), 2):
        axes = (NORMS, PROTOCOLS, DATA, SHORTCUTS)
        assert {(case[i], case[j]) for case in CASES} == set(itertools.product(axes[i], axes[j]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    return folder_overrides(image_folder(root / "data", per_class=8), root / "cache")


def few_images(dataset):
    """Training images for one step in any of the protocols, and a handful to evaluate."""
    train, test = dataset.train, dataset.test
    return replace(
        dataset,
        train=train.take(torch.arange(BATCH * WORKERS)),
        test=test.take(torch.arange(10)),
    )


@pytest.mark.parametrize(("norm", "protocol", "data", "shortcut"), CASES)
def test_every_pair_takes_a_step_and_is_evaluated(norm, protocol, data, shortcut, folder):
    sizes = {
        "coupled": (),
        "workers": (f"protocol.workers={WORKERS}",),
        "fixed_sgd": (f"protocol.sgd_batch_size={WORKERS * BATCH}",),
    }[protocol]
    config = tiny_config(
        *(folder if data == "image_folder" else ("data.train_subset=100",)),
        *(
            f"norm={norm}",
            f"model.shortcut={shortcut}",
            f"protocol={protocol}",
            *sizes,
            f"batch_size={BATCH}",
        ),
    )
    session = Session.prepare(config, few_images(load_data(config.data)), torch.device("cpu"))
    model, position = session.trainer.model, Position()
    before = [p.detach().clone() for p in model.parameters()]
    session.trainer.train_epoch(session.table(0), position, lambda chunk: None)
    assert position.step == session.trainer.steps_per_epoch >= 1
    assert any(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    errors, _ = session.evaluator.errors(STATISTICS, 1)
    assert set(errors) == set(STATISTICS if session.traits.batch_statistics else ["running"])
    assert all(0 <= error <= 100 for error in errors.values())
