"""How long a sweep still takes, from what its cells have taken so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bnrepro.sweep.cost import relative_cost
from bnrepro.sweep.plan import Cell

ANOTHER_NORM = 1.0
"""A norm is as unlike another as it is unlike itself at twice the batch size."""
ENOUGH_SECONDS = 1.0
"""Of a running group, before its speed says something."""
BELIEF = 0.05
"""What the costs weigh beside a measurement."""
FEW = 200
"""So many groups are dealt out to workers one by one; more of them even out."""


@dataclass
class Kind:
    """Groups that take the same time: they differ in their seeds."""

    norm: str
    sgd_batch_size: int
    norm_batch_size: int
    steps: float
    """Per unit of cost; and images, at each step as many as an SGD batch has."""
    waiting: Counter[float] = field(default_factory=Counter)
    """Of the groups that have not begun: how many there are of each cost."""
    seconds: float = 0.0
    """What the finished groups took, and what they cost."""
    cost: float = 0.0

    def distance(self, other: Kind) -> float:
        octaves = abs(math.log2(self.sgd_batch_size / other.sgd_batch_size))
        octaves += abs(math.log2(self.norm_batch_size / other.norm_batch_size))
        return octaves + (ANOTHER_NORM if self.norm != other.norm else 0.0)


@dataclass
class Running:
    """A group at work: cells that one worker trains together."""

    cells: Sequence[Cell]
    kind: Kind
    cost: float
    started: float
    parts: dict[str, float] = field(default_factory=dict)
    """Cell -> what is done of its steps."""
    first: tuple[float, float] | None = None
    """Time and part of the first report: what comes before is start-up, or an earlier call's work."""
    last: tuple[float, float] | None = None

    def measured(self) -> tuple[float, float]:
        """Seconds, and what was done in them; 0 of both where it is too early to say."""
        if self.first is None or self.last is None:
            return 0.0, 0.0
        seconds, done = self.last[0] - self.first[0], self.last[1] - self.first[1]
        return (seconds, done * self.cost) if seconds >= ENOUGH_SECONDS and done > 0 else (0.0, 0.0)


class TimeLeft:
    """Told what happens, by the clock of whoever tells it."""

    def __init__(self, groups: Sequence[Sequence[Cell]], jobs: int) -> None:
        self._jobs = jobs
        self._kinds: dict[tuple[str, int, int], Kind] = {}
        self._groups: dict[str, Sequence[Cell]] = {cell.id: group for group in groups for cell in group}
        self._running: dict[str, Running] = {}
        self._begun: set[str] = set()
        for group in groups:
            self._kind(group).waiting[_cost(group)] += 1

    def _kind(self, group: Sequence[Cell]) -> Kind:
        norm, sizes = group[0].config.norm.name, group[0].sizes
        key = (norm, sizes.sgd_batch_size, sizes.norm_batch_size)
        if key not in self._kinds:
            self._kinds[key] = Kind(
                *key, steps=sum(cell.weight * cell.steps for cell in group) / _cost(group)
            )
        return self._kinds[key]

    def started(self, cell: Cell, now: float) -> None:
        group = self._groups[cell.id]
        if cell.id not in self._begun:
            self._begun.update(member.id for member in group)
            kind, cost = self._kind(group), _cost(group)
            kind.waiting[cost] -= 1
            running = Running(group, kind, cost, now)
            self._running.update({member.id: running for member in group})

    def progress(self, cell: Cell, part: float, now: float) -> None:
        """`part`: of the cell's steps that are done."""
        group = self._running[cell.id]
        group.parts[cell.id] = part
        if len(group.parts) == len(group.cells):
            group.last = (now, sum(group.parts.values()) / len(group.cells))
            group.first = group.first or group.last

    def finished(self, cell: Cell, now: float) -> None:
        """With the first of its cells a group is over: the others follow at once."""
        self.started(cell, now)  # Slurm's may be over when they are seen first
        group = self._running.get(cell.id)
        if group is None:
            return
        for member in group.cells:
            self._running.pop(member.id, None)
        first, part = group.first if group.first and group.first[1] < 1 else (group.started, 0.0)
        group.kind.seconds += now - first
        group.kind.cost += group.cost * (1 - part)

    def left_out(self, cell: Cell) -> None:
        """It is nothing to wait for."""
        self.started(cell, 0.0)
        self._running.pop(cell.id, None)

    def seconds(self, now: float) -> float | None:
        """Until the last worker is done, the longest groups first; None: nothing has been measured yet."""
        running = list({id(group): group for group in self._running.values()}.values())
        speed = _speeds(self._kinds.values(), self._measured(running))
        if speed is None:
            return None
        left = []
        for group in running:
            done = group.last[1] if group.last else 0.0
            since = now - (group.last[0] if group.last else group.started)  # it went on since its last report
            left.append(max(0.0, (1 - done) * group.cost * speed(group.kind) - since))
        waiting = Counter[float]()
        for kind in self._kinds.values():
            if waits := +kind.waiting:
                each = speed(kind)
                waiting.update({cost * each: number for cost, number in waits.items()})
        return _until_all_are_done(left, waiting, self._jobs)

    def _measured(self, running: Iterable[Running]) -> list[tuple[Kind, float]]:
        """The kinds that have been at work, with the seconds per unit of cost."""
        sums = {id(kind): [kind.seconds, kind.cost] for kind in self._kinds.values()}
        for group in running:
            for i, value in enumerate(group.measured()):
                sums[id(group.kind)][i] += value
        return [(k, s / c) for k in self._kinds.values() for s, c in [sums[id(k)]] if c > 0 and s > 0]


def _cost(group: Iterable[Cell]) -> float:
    return sum(map(relative_cost, group))


def _speeds(kinds: Iterable[Kind], measured: Sequence[tuple[Kind, float]]) -> Callable[[Kind], float] | None:
    """Seconds per unit of cost of any kind: by its steps and images, and as the kinds most like it were."""
    if not measured:
        return None
    model = _fitted(max(kinds, key=lambda kind: kind.sgd_batch_size), measured)
    ratios = [(kind, speed / model(kind)) for kind, speed in measured]

    def speed(kind: Kind) -> float:
        distances = [kind.distance(other) for other, _ in ratios]
        nearest = min(distances)
        alike = [ratio for (_, ratio), far in zip(ratios, distances, strict=True) if far == nearest]
        return model(kind) * sum(alike) / len(alike)

    return speed


def _fitted(largest: Kind, measured: Sequence[tuple[Kind, float]]) -> Callable[[Kind], float]:
    """Seconds per step and per image, from two SGD batches on; before, the costs have to be believed.

    Least squares of the relative errors, neither of the two below 0. From 2 images to 256 is a long way:
    that the costs hold for the largest batch too counts as a weak measurement.
    """
    if len({kind.sgd_batch_size for kind, _ in measured}) < 2:
        return lambda kind: 1.0
    believed = (largest, sum(speed for _, speed in measured) / len(measured), BELIEF)
    points = [*((kind, speed, 1.0) for kind, speed in measured), believed]
    w = [weight for _, _, weight in points]
    x = [kind.steps / speed for kind, speed, _ in points]
    y = [kind.steps * kind.sgd_batch_size / speed for kind, speed, _ in points]
    ones = [1.0] * len(points)

    def dot(u: Sequence[float], v: Sequence[float]) -> float:
        return sum(a * b * weight for a, b, weight in zip(u, v, w, strict=True))

    xx, xy, yy, x1, y1 = dot(x, x), dot(x, y), dot(y, y), dot(x, ones), dot(y, ones)
    scale = xx * yy - xy * xy
    per_step = (x1 * yy - y1 * xy) / scale
    per_image = (y1 * xx - x1 * xy) / scale
    if per_step < 0 or per_image < 0:
        per_step, per_image = (0.0, y1 / yy) if per_step < 0 else (x1 / xx, 0.0)
    return lambda kind: kind.steps * (per_step + per_image * kind.sgd_batch_size)


def _until_all_are_done(running: Sequence[float], waiting: Counter[float], jobs: int) -> float:
    workers = [*running, *([0.0] * (jobs - len(running)))]
    if waiting.total() > FEW:
        total = sum(workers) + sum(seconds * number for seconds, number in waiting.items())
        return max(max(workers), total / len(workers))
    for seconds in sorted(waiting.elements(), reverse=True):
        workers[workers.index(min(workers))] += seconds
    return max(workers)
