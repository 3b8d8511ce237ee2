"""`--dry-run`: the cells, and the time they will take from a few timed steps."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import STATISTICS
from bnrepro.data import Dataset
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.training.device import prepare_device, wait_for
from bnrepro.training.estimate import estimate
from bnrepro.training.measure import evaluation_due, is_final
from bnrepro.training.session import Session, build_network, norm_layers
from bnrepro.training.timing import at_standstill, time_training

WARM_UP_SECONDS = 0.2
TIMED_SECONDS = 0.8
MOST_TEST_IMAGES = 1000
FORWARD_SPEED = 3
"""Forward alone, against a training step: as many images take as long as the timed steps."""


@dataclass(frozen=True)
class Forecast:
    """What one cell will take."""

    train_seconds: float
    evaluation_seconds: float
    flops_per_image: float
    """Of a training step, forward and backward."""
    memory_bytes: float
    """Of a GPU in training, without the kernels' work space."""

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
    config = cell.config
    session = Session.prepare(at_standstill(config), dataset, prepare_device(config))
    time_training(session, WARM_UP_SECONDS)
    timed, seconds = time_training(session, TIMED_SECONDS)
    few = min(len(dataset.test), MOST_TEST_IMAGES, max(1, round(timed * FORWARD_SPEED)))
    per_image, shape = _time_evaluation(session, few)
    images = session.trainer.accumulation.part_size(cell.sizes.sgd_batch_size)
    counted = estimate(lambda: build_network(config, norm_layers(config, cell.sizes), dataset), shape, images)
    return Forecast(
        train_seconds=seconds / timed * cell.images,
        evaluation_seconds=per_image * _evaluated_images(config, session, len(dataset.test)),
        flops_per_image=counted.flops_per_image,
        memory_bytes=counted.memory_bytes(images, config.precision),
    )


@torch.inference_mode()
def _time_evaluation(session: Session, images: int) -> tuple[float, tuple[int, ...]]:
    """Seconds per test image, and the shape of one, from the first `images`."""
    evaluator, size = session.evaluator, session.evaluator.batch_size
    evaluator.model.eval()
    start = time.perf_counter()
    parts = (slice(first, min(first + size, images)) for first in range(0, images, size))
    for x, _ in evaluator.test.test_batches(parts):
        evaluator.forward(x)
    wait_for(session.device)
    return (time.perf_counter() - start) / images, tuple(x.shape[1:])


def _evaluated_images(config: RunConfig, session: Session, test_images: int) -> int:
    """Forward passes of all evaluations: `precise` also goes through training images."""
    precise = min(config.evaluation.precise_images, len(session.trainer.feed))
    cost = {"running": test_images, "precise": test_images + precise, "batch": test_images}
    total = 0
    for epoch in range(1, config.epochs + 1):
        if evaluation_due(epoch, config.epochs, config.evaluation.every):
            final = is_final(epoch, config.epochs)
            asked = STATISTICS if final else config.evaluation.statistics
            total += sum(cost[s] for s in asked if s == "running" or session.batch_statistics)
    return total
