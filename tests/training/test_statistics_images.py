"""A user would compare statistics with less noise, and get other images behind the loss, or gradients."""

import copy

import pytest
import torch
from tiny_runs import record, tiny_config, tiny_run

from bnrepro.data import load_data
from bnrepro.data.resident import ResidentFeed
from bnrepro.training.position import Position
from bnrepro.training.session import Session

CPU = torch.device("cpu")
RUN = ("model=mlp", "data.train_subset=22", "data.augment=none", "batch_size=4", "optimizer.momentum=0")
RUN += ("optimizer.weight_decay=0", "optimizer.base_lr=0.5", "optimizer.scaling=none", "schedule=step")


def prepared(*overrides: str) -> Session:
    """In float64."""
    config = tiny_config(*RUN, *overrides)
    dataset = load_data(config.data)
    feed = ResidentFeed(dataset.train, dataset.mean, dataset.std, 0, "none", CPU, torch.float64)
    session = Session.prepare(config, dataset, CPU, feeds=(feed, feed))
    session.trainer.model.double()
    return session


def trained(session: Session) -> list[float]:
    """The losses of an epoch."""
    position = Position()
    session.trainer.train_epoch(session.table(0), position, lambda chunk: None)
    return position.losses().tolist()


def test_gradients_go_through_the_statistics_of_all_images_and_the_loss_sees_the_first():
    """Against the step spelled out; the last steps take their further images from the epoch's start."""
    session = prepared("protocol.norm_batch_size=22")
    model = copy.deepcopy(session.trainer.model).train()
    order = session.table(0).order
    x, y = session.trainer.feed.plain(torch.arange(22))
    losses = []
    for step in range(5):
        images = order.roll(-4 * step)
        loss = torch.nn.functional.cross_entropy(model(x[images])[:4], y[images[:4]])
        for parameter, slope in zip(
            model.parameters(), torch.autograd.grad(loss, model.parameters()), strict=True
        ):
            parameter.data -= 0.5 * slope
        losses.append(loss.item())
    assert trained(session) == pytest.approx(losses, rel=1e-6), "noted in float32"
    torch.testing.assert_close(session.trainer.model.state_dict(), model.state_dict())


def test_a_norm_that_sees_no_batch_trains_as_without_them():
    """The images behind every loss, their order and the number of steps are those of every other arm."""
    alone, beside = (trained(prepared("norm=ln", *more)) for more in ((), ("protocol.norm_batch_size=20",)))
    assert beside == pytest.approx(alone, rel=1e-9)
    assert len(alone) == 5


@pytest.mark.parametrize("chunk_images", [1, 40, 1000])
def test_it_does_not_matter_how_many_steps_are_taken_at_once(monkeypatch, chunk_images):
    expected = trained(prepared("protocol.norm_batch_size=20"))
    monkeypatch.setattr(ResidentFeed, "chunk_images", chunk_images)
    assert trained(prepared("protocol.norm_batch_size=20")) == pytest.approx(expected, rel=1e-9)


def test_a_run_says_how_many_images_are_behind_what(tmp_path):
    result = tiny_run(tmp_path, *RUN, "protocol.norm_batch_size=20")
    assert (result["sgd_batch_size"], result["norm_batch_size"]) == (4, 20)
    (line,) = record(tmp_path)["metrics"]
    assert line["step"] == 5
    assert line["train_error"] == pytest.approx(round(line["train_error"] / 5) * 5), "of 5 × 4 images"


def test_statistics_of_all_workers_are_those_of_all_images():
    """`bn_sync` is `bn` in one process."""
    plain, synchronized = (
        trained(prepared(f"norm={norm}", "protocol.norm_batch_size=20")) for norm in ("bn", "bn_sync")
    )
    assert plain == synchronized
