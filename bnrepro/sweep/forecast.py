"""`--dry-run`: the cells, and the time they will take from a few timed steps."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import STATISTICS
from bnrepro.data import Dataset, load_data
from bnrepro.rundir.run_error import evaluation_due, is_final
from bnrepro.sweep.lockstep import in_groups
from bnrepro.sweep.plan import Cell, Plan
from bnrepro.training.process.device import prepare_device, wait_for
from bnrepro.training.session import Session, build_network, norm_layers
from bnrepro.training.speed.estimate import Estimate, count_step, estimate
from bnrepro.training.speed.timing import standstill_sessions, time_training, timer
from bnrepro.training.step.accumulation import part_size
from bnrepro.training.step.replayed import ReplayedStep

TIMED_SECONDS = 0.8
"""Of steps, of one kind of cell, after a warm-up."""
ALL_SECONDS = 2.0
"""Of steps, of all kinds: with many of them each is timed more briefly, so that a dry run takes seconds."""
LEAST_SECONDS = 0.05
WARM_UP = 0.25
"""Of the timed seconds."""
MANY_STEPS = 30
"""Among so many the first ones, which are slower, do not matter."""
CHUNK_STEPS = 32
"""On a CPU, between looks at the clock: of a batch of one, the training loop takes hundreds."""
LONG_SECONDS = 10.0
"""Of steps that take so long the first ones are as good as any."""
FEW_IMAGES = 32
"""Of a batch of streamed images that is timed on a CPU, in training if the protocol's workers allow it."""
LEAST_SHARE = 0.4
"""Of a plain step's time, what a recorded step takes at least (measured: 0.55 to 0.85, ResNet-8)."""
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


def forecast(
    plan: Plan, dataset: Dataset, lockstep: Mapping[str, int], say: Callable[[str], None]
) -> dict[str, Forecast]:
    """Cell id -> expected time, from timing in this process every kind of group that trains as one.

    `lockstep`: how many cells of a shape do; a cell's time is its share of that. Groups that differ in
    nothing but their seeds are one kind, and so are those of several batch sizes. Cells that would fail are
    left out. `say` is told of them, and how it goes where that takes long.
    """
    kinds: dict[str, list[Sequence[Cell]]] = defaultdict(list)
    for group in in_groups(plan.cells, lockstep):
        kinds[_kind(group)].append(group)
    found: dict[str, Forecast] = {}
    known = Known()
    for number, (kind, groups) in enumerate(kinds.items(), 1):
        start = time.monotonic()
        try:
            own = load_data(groups[0][0].config.data) if plan.axis.changes_data else dataset
            cost = _timed(max(groups, key=len), own, timed_seconds(len(kinds)), known)
        except UsageError:
            raise
        except (ValueError, RuntimeError) as error:
            say(f"{kind} would fail: {type(error).__name__}: {error}")
            continue
        found |= {cell.id: cost for group in groups for cell in group}
        if (seconds := time.monotonic() - start) > LONG_SECONDS:
            say(f"timed {kind}: {seconds:.0f} s, {number} of {len(kinds)}")
    return found


def timed_seconds(kinds: int) -> float:
    """How long the steps of each of so many kinds of cells are timed."""
    return min(TIMED_SECONDS, max(LEAST_SECONDS, ALL_SECONDS / kinds))


def _kind(group: Sequence[Cell]) -> str:
    points = {cell.point for cell in group}
    return points.pop() if len(points) == 1 else f"{group[0].config.norm.name}-mixed"


def wall_seconds(groups: Iterable[float], jobs: int) -> float:
    """The time until the last of `jobs` workers is done, the longest groups of cells first."""
    workers = [0.0] * jobs
    for seconds in sorted(groups, reverse=True):
        workers[workers.index(min(workers))] += seconds
    return max(workers)


@dataclass
class Known:
    """What kinds of cells with the same network share: each is found once."""

    counted: dict[str, Estimate] = field(default_factory=dict)
    saved_seconds: dict[str, float] = field(default_factory=dict)
    """What a CPU's recorded step takes less than a plain one, whatever the batch: the same calls of Python.
    Recording takes as long as dozens of steps."""


def _timed(group: Sequence[Cell], dataset: Dataset, at_least: float, known: Known) -> Forecast:
    cell = group[0]
    config, device = cell.config, prepare_device(cell.config)
    lighter = [_lighter(each.config, device) for each in group]
    session, timed, seconds = _time_steps(lighter, dataset, device, at_least, known.saved_seconds)
    few = min(len(dataset.test), MOST_TEST_IMAGES, max(1, round(timed * FORWARD_SPEED)))
    per_image, shape = _time_evaluation(session, few)
    # what a GPU keeps for backward depends on the groups, what is computed does not
    network = f"{_network(config)} {cell.sizes if device.type == 'cuda' else ''}"
    if network not in known.counted:
        known.counted[network] = _counted(cell, session, dataset, shape)
    counted = known.counted[network]
    images = part_size(session.trainer.model, config.micro_batch_size, cell.sizes.step_images)
    return Forecast(
        train_seconds=seconds / timed * cell.images,
        evaluation_seconds=per_image * _evaluated_images(config, session, len(dataset.test)),
        flops_per_image=counted.flops_per_image,
        memory_bytes=counted.memory_bytes(images, config.precision),
    )


def _counted(cell: Cell, session: Session, dataset: Dataset, shape: tuple[int, ...]) -> Estimate:
    """A CPU takes the step that is counted: the meta device, which computes nothing, loads a compiler."""
    config, model = cell.config, session.trainer.model
    if session.device.type == "cpu":
        return count_step(
            model.train(), shape, part_size(model, config.micro_batch_size, session.sizes.step_images)
        )
    images = part_size(model, config.micro_batch_size, cell.sizes.step_images)
    return estimate(lambda: build_network(config, norm_layers(config, cell.sizes), dataset), shape, images)


def _network(config: RunConfig) -> str:
    return repr((config.model, config.norm, config.data, config.micro_batch_size))


def _time_steps(
    configs: Sequence[RunConfig],
    dataset: Dataset,
    device: torch.device,
    at_least: float,
    saved: dict[str, float],
) -> tuple[Session, int, float]:
    """A session with these images and seconds of training steps; `saved` grows."""
    sessions = _sessions(configs, dataset, device)
    session, network = sessions[0], _network(configs[0])
    size = session.trainer.sgd_batch_size
    step = session.trainer.step
    if len(sessions) > 1 or device.type != "cpu" or not isinstance(step, ReplayedStep):
        return session, *_after_warm_up(timer(sessions), at_least, size)
    (plain,) = _sessions([replace(configs[0], capture=False)], dataset, device)
    images, plain_seconds = _after_warm_up(timer([plain]), at_least, size)
    steps = images / size
    if network in saved:
        return plain, images, max(LEAST_SHARE * plain_seconds, plain_seconds - steps * saved[network])
    time_training(session, 0.0)  # records
    timed, seconds = time_training(session, at_least)
    saved[network] = max(0.0, plain_seconds / steps - seconds / timed * size)
    return session, timed, seconds


def _sessions(configs: Sequence[RunConfig], dataset: Dataset, device: torch.device) -> list[Session]:
    """At standstill; on a CPU in short chunks: a small batch is timed no longer than a large one."""
    sessions = standstill_sessions(configs, dataset, device)
    if device.type == "cpu":
        for session in sessions:
            session.trainer.stops = range(CHUNK_STEPS, session.trainer.steps_per_epoch, CHUNK_STEPS)
    return sessions


def _after_warm_up(
    train: Callable[[float], tuple[int, float]], at_least: float, size: int
) -> tuple[int, float]:
    """Images and seconds of training steps of `size` images, without the first ones, where these matter."""
    timed, seconds = train(WARM_UP * at_least)
    many = seconds >= at_least and timed >= MANY_STEPS * size
    return (timed, seconds) if many or seconds >= LONG_SECONDS else train(at_least)


def _lighter(config: RunConfig, device: torch.device) -> RunConfig:
    """With fewer images at a time where a CPU takes seconds for each of them, which does not change."""
    if config.data.stream is None or device.type != "cpu":
        return config
    few = max(1, min(config.protocol.workers, FEW_IMAGES // config.batch_size))
    return replace(
        config,
        protocol=replace(config.protocol, workers=few),
        evaluation=replace(config.evaluation, batch_size=min(FEW_IMAGES, config.evaluation.batch_size)),
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
            total += sum(cost[s] for s in asked if s == "running" or session.traits.batch_statistics)
    return total
