"""All measurements in turn, in several rounds: what disturbs one disturbs its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bnrepro.bench.evaluation import bare_forward, evaluation
from bnrepro.bench.flops import matrix_products
from bnrepro.bench.limit import bare_steps
from bnrepro.bench.ours import training_loop
from bnrepro.bench.processes import Together, side_by_side
from bnrepro.bench.tutorial import Way, tutorial_loop, ways
from bnrepro.sweep.plan import Cell


@dataclass(frozen=True)
class Settings:
    """How long to look, and with how many workers."""

    rounds: int
    seconds: float
    """Of each measurement, after its warm-up."""
    jobs: int
    gpus: int
    """GPUs to deal out to the workers; 0: none, or the one that the config names."""
    lockstep: Sequence[int]
    """Numbers of seeds that a worker of ours trains as one: the fastest of them counts."""


@dataclass
class Measured:
    """One cell's measurements, one of each kind per round."""

    cell: Cell
    ours: list[Together] = field(default_factory=list)
    tutorial: list[Together] = field(default_factory=list)
    limit: list[Together] = field(default_factory=list)
    way: Way | None = None
    """The tutorial loop's fastest way, once it is known."""
    lockstep: int | None = None
    """The best number of seeds in lockstep, once it is known."""


@dataclass
class Evaluated:
    """A norm's evaluation and the forward pass alone, one of each per round."""

    cell: Cell
    """Any of the norm's: its batch size has no part in this."""
    evaluation: list[Together] = field(default_factory=list)
    forward: list[Together] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What the rounds gave."""

    cells: Sequence[Measured]
    evaluations: Sequence[Evaluated]
    matrix_peak: Sequence[float]
    """Floating-point operations per second of the machine, in each round."""


def measure_rounds(cells: Sequence[Cell], settings: Settings, say: Callable[[str], None]) -> Outcome:
    """Measure every cell once in each round; the order of the three kinds turns from round to round."""
    measured = [Measured(cell) for cell in cells]
    evaluated = [Evaluated(cell) for cell in {cell.config.norm.name: cell for cell in cells}.values()]
    ours = partial(_measure_ours, say=say)
    kinds: list[Callable[[Measured, Settings], None]] = [ours, _measure_tutorial, _measure_limit]
    peaks = []
    for number in range(settings.rounds):
        config = cells[0].config
        peak = side_by_side(matrix_products, config, settings.seconds, jobs=settings.jobs, gpus=settings.gpus)
        peaks.append(peak.per_second)
        for one in measured:
            say(
                f"round {number + 1} of {settings.rounds}: {one.cell.config.norm.name}, batch size "
                f"{one.cell.config.batch_size}"
            )
            for kind in kinds[number % 3 :] + kinds[: number % 3]:
                kind(one, settings)
        for norm in evaluated:
            say(f"round {number + 1} of {settings.rounds}: {norm.cell.config.norm.name}, evaluation")
            _measure_evaluation(norm, settings)
    return Outcome(measured, evaluated, peaks)


def _measure_ours(one: Measured, settings: Settings, say: Callable[[str], None]) -> None:
    """In the first round with each number of seeds in lockstep, then with the best one."""
    speeds: dict[int, Together] = {}
    for number in settings.lockstep if one.lockstep is None else (one.lockstep,):
        try:
            speeds[number] = side_by_side(
                training_loop,
                one.cell.config,
                settings.seconds,
                jobs=settings.jobs,
                gpus=settings.gpus,
                lockstep=number,
            )
        except RuntimeError as error:
            if not speeds:
                raise
            say(f"{number} seeds in lockstep do not train: {error}")
            break  # more of them will not either, most of all where the memory is full
    one.lockstep = max(speeds, key=lambda number: speeds[number].per_second)
    one.ours.append(speeds[one.lockstep])


def _measure_evaluation(norm: Evaluated, settings: Settings) -> None:
    for measure, speeds in ((evaluation, norm.evaluation), (bare_forward, norm.forward)):
        speeds.append(
            side_by_side(measure, norm.cell.config, settings.seconds, jobs=settings.jobs, gpus=settings.gpus)
        )


def _measure_limit(one: Measured, settings: Settings) -> None:
    one.limit.append(
        side_by_side(bare_steps, one.cell.config, settings.seconds, jobs=settings.jobs, gpus=settings.gpus)
    )


def _measure_tutorial(one: Measured, settings: Settings) -> None:
    """In the first round in each of its ways, then in the fastest one."""
    speeds = {
        way: side_by_side(
            tutorial_loop,
            one.cell.config,
            settings.seconds,
            jobs=1,
            gpus=min(1, settings.gpus),
            way=way,
        )
        for way in (ways() if one.way is None else (one.way,))
    }
    one.way = max(speeds, key=lambda way: speeds[way].per_second)
    one.tutorial.append(speeds[one.way])
