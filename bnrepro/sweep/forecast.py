"""`--dry-run`: the cells, and the time they will take from a few timed steps."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from bnrepro.config.schema import RunConfig
from bnrepro.data import Dataset
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.training.checkpoint import Position
from bnrepro.training.device import prepare_device
from bnrepro.training.loop import Chunk, Diverged
from bnrepro.training.measure import evaluation_due, is_final
from bnrepro.training.session import ALL_STATISTICS, Session

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
    session = Session.prepare(cell.config, few, device)
    _steps(session, WARM_UP_SECONDS)
    return Forecast(
        _steps(session, TIMED_SECONDS) * cell.images, _evaluation_seconds(session, len(dataset.test))
    )


class _Enough(Exception):
    pass


def _steps(session: Session, at_least: float) -> float:
    """Seconds per image of training steps, over `at_least` seconds or an epoch."""
    images, seconds = 0, 0.0

    def pause(chunk: Chunk) -> None:
        nonlocal images, seconds
        images += chunk.images
        seconds += chunk.seconds
        if seconds >= at_least:
            raise _Enough

    with suppress(_Enough, Diverged):
        session.trainer.train_epoch(session.table(0), Position(), pause)
    return seconds / images


def _evaluation_seconds(session: Session, test_images: int) -> float:
    """Of all evaluations of a run, from one pass over a part of the test set."""
    start = time.perf_counter()
    session.evaluator.errors(["running"], 0)
    if session.device.type == "cuda":
        torch.cuda.synchronize()
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
