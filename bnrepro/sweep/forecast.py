"""`--dry-run`: the cells, and the time they will take from a few timed steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch

from bnrepro.config.schema import RunConfig
from bnrepro.data import Dataset
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.training.device import prepare_device
from bnrepro.training.measure import evaluation_due, is_final
from bnrepro.training.session import ALL_STATISTICS, Session
from bnrepro.training.timing import at_standstill, time_training, wait_for

WARM_UP_SECONDS = 0.2
TIMED_SECONDS = 0.8
TEST_IMAGES = 1000


@dataclass(frozen=True)
class Forecast:
    """One cell's expected seconds."""

    train_seconds: float
    evaluation_seconds: float

    @property
    def seconds(self) -> float:
        return self.train_seconds + self.evaluation_seconds


def forecast(plan: Plan, dataset: Dataset) -> dict[str, Forecast]:
    """Cell id -> expected time, from timing every shape once in this process; seeds share a shape."""
    by_shape: dict[tuple[str, int], Forecast] = {}
    for cell in plan.cells:
        shape = (cell.config.norm.name, cell.config.batch_size)
        if shape not in by_shape:
            by_shape[shape] = _timed(cell, dataset)
    return {cell.id: by_shape[cell.config.norm.name, cell.config.batch_size] for cell in plan.cells}


def wall_seconds(forecasts: list[Forecast], jobs: int) -> float:
    """The time until the last of `jobs` workers is done, the longest cells first."""
    workers = [0.0] * jobs
    for seconds in sorted((f.seconds for f in forecasts), reverse=True):
        workers[workers.index(min(workers))] += seconds
    return max(workers)


def _timed(cell: Cell, dataset: Dataset) -> Forecast:
    device = prepare_device(cell.config)
    images = min(len(dataset.test), max(TEST_IMAGES, cell.sizes.norm_batch_size))
    few = replace(dataset, test=dataset.test.take(torch.arange(images)))
    session = Session.prepare(at_standstill(cell.config), few, device)
    time_training(session, WARM_UP_SECONDS)
    timed, seconds = time_training(session, TIMED_SECONDS)
    return Forecast(seconds / timed * cell.images, _evaluation_seconds(session, len(dataset.test)))


def _evaluation_seconds(session: Session, test_images: int) -> float:
    """Of all evaluations of a run, from one pass over a part of the test set."""
    start = time.perf_counter()
    session.evaluator.errors(["running"], 0)
    wait_for(session.device)
    per_image = (time.perf_counter() - start) / len(session.evaluator.test)
    return per_image * _evaluated_images(session.config, session, test_images)


def _evaluated_images(config: RunConfig, session: Session, test_images: int) -> int:
    """Forward passes of all evaluations: `precise` also goes through training images."""
    precise = min(config.evaluation.precise_images, len(session.trainer.feed))
    cost = {"running": test_images, "precise": test_images + precise, "batch": test_images}
    total = 0
    for epoch in range(1, config.epochs + 1):
        if evaluation_due(epoch, config.epochs, config.evaluation.every):
            final = is_final(epoch, config.epochs)
            asked = ALL_STATISTICS if final else config.evaluation.statistics
            total += sum(cost[s] for s in asked if s == "running" or session.batch_statistics)
    return total
