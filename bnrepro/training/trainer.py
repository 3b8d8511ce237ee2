"""One epoch of training: batches in, steps taken, losses and errors out.

An epoch is cut into chunks, steps in a row whose images come at once; between chunks the run is reported,
saved or stopped. A step is one update of the weights on one SGD batch (`step/plain.py`). Where that saves
time, the step is captured once and then replayed (`step/replayed.py`). Several models that train in
lockstep (`lockstep/stacked.py`) take the same chunks and the same steps, as one stacked model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.data.feed import Feed, Part
from bnrepro.training.position import Position
from bnrepro.training.process.distributed import World
from bnrepro.training.step.plain import PlainStep
from bnrepro.training.step.replayed import MakeReplay, ReplayedStep
from bnrepro.training.task import Task


@dataclass(frozen=True)
class Chunk:
    """Some steps in a row, after they were taken."""

    images: int
    seconds: float


class Diverged(Exception):
    """Something is not finite: a result, not an error."""

    def __init__(self, what: str, step: int, epoch: int) -> None:
        super().__init__(f"{what} at step {step} (epoch {epoch})")


class BadStart(Diverged):
    """The first loss is not finite, and no weight has changed yet: a mistake, not a result."""

    def __init__(self, loss: float) -> None:
        super().__init__(f"loss is {loss} before any weight has changed, so training is not to blame", 0, 1)
        self.args = (f"{self}; look at the options of norm and model, at the images, and at precision",)


@dataclass
class Trainer:
    """A model and its optimizer, at work on a feed."""

    model: nn.Module
    plain: PlainStep
    make_replay: MakeReplay | None
    """How the step is replayed; None: it is not."""
    feed: Feed
    task: Task
    sgd_batch_size: int
    step_images: int
    """Those of the SGD batch first; the others only take part in the statistics."""
    steps_per_epoch: int
    world: World
    stops: Collection[int] = ()
    """Steps of the run after which a chunk ends, whatever its length."""

    def __post_init__(self) -> None:
        self.step = best_step(self.plain, self.model.buffers(), self.make_replay)

    def train_epoch(self, table: Any, position: Position, pause: Callable[[Chunk], None]) -> None:
        """Take the steps that are left of an epoch, and note them in `position`.

        `pause` is called between chunks; what it raises ends the epoch there. Raises `Diverged`: on the CPU
        after the chunk, elsewhere at the epoch's end, so that the device is not waited for.
        """
        size = self.sgd_batch_size
        chunks = self.chunks(position)
        batches = self.feed.train_batches(table, (self.positions(*chunk) for chunk in chunks))
        for first, last in chunks:
            start = time.perf_counter()
            x, y = next(batches)
            y = self.behind_losses(y)
            number = position.epoch * self.steps_per_epoch + first
            losses, wrong = take_steps(self.step, self.task, x, y, size // self.world.size, number)
            self.world.mean_(losses)
            self.world.sum_(wrong)
            position.note(losses, wrong, last)
            if x.device.type == "cpu" or last == self.steps_per_epoch:
                raise_if_diverged(position, self.steps_per_epoch)
            seconds = time.perf_counter() - start
            position.train_seconds += seconds
            pause(Chunk(images=(last - first) * size, seconds=seconds))

    def positions(self, first: int, last: int) -> Part:
        """Where in the epoch the images of the steps `first` to `last` are: `step_images` for each."""
        if self.step_images == self.sgd_batch_size:
            return self.world.positions(first, last, self.sgd_batch_size)
        starts = torch.arange(first, last) * self.sgd_batch_size
        # on from the epoch's end at its start: those behind the losses are the ones they always are
        return ((starts[:, None] + torch.arange(self.step_images)) % len(self.feed)).flatten()

    def behind_losses(self, y: Tensor) -> Tensor:
        """Of the targets `(..., n)` of such images those that the losses see."""
        if self.step_images == self.sgd_batch_size:
            return y
        return y.unflatten(-1, (-1, self.step_images))[..., : self.sgd_batch_size].flatten(-2)

    def chunks(self, position: Position) -> list[tuple[int, int]]:
        """What is left of the epoch, as first step and the one after the last of each chunk."""
        steps = max(1, self.feed.chunk_images // self.step_images)
        done = position.epoch * self.steps_per_epoch
        stops = sorted(s - done for s in self.stops if position.step < s - done < self.steps_per_epoch)
        return [
            (first, min(first + steps, end))
            for start, end in pairwise([position.step, *stops, self.steps_per_epoch])
            for first in range(start, end, steps)
        ]


def best_step(
    plain: PlainStep, buffers: Iterable[Tensor], make_replay: MakeReplay | None
) -> PlainStep | ReplayedStep:
    """The step that training takes: replayed, if there is a way. `buffers`: those that it may change."""
    return plain if make_replay is None else ReplayedStep(plain, buffers, make_replay)


def take_steps(
    step: PlainStep | ReplayedStep, task: Task, x: Tensor, y: Tensor, size: int, number: int
) -> tuple[Tensor, Tensor]:
    """A step per `size` targets, the first of them step `number` of the run, from 0.

    `x: (N, C, H, W)`, `y: (n,)`: each step's loss `(n / size,)`, and the number of errors `()`. N is n, or
    more where images only take part in the statistics. In lockstep all four have the models in front.
    """
    images = y.dim() - 1
    passed = x.shape[images] * size // y.shape[images]
    batches = zip(x.split(passed, images), y.split(size, images), strict=True)
    outputs = [step(*batch, number + i) for i, batch in enumerate(batches)]
    # once for all the steps: at a batch of one, a call costs as much as it does for hundreds of images
    together = torch.cat(outputs, images).float()
    losses = task.loss(together, y, "none").unflatten(images, (len(outputs), -1)).mean(-1)
    return losses, task.wrong(together, y).sum(-1)


def raise_if_diverged(position: Position, steps_per_epoch: int) -> None:
    """Raises what `divergence` finds."""
    if diverged := divergence(position, steps_per_epoch):
        raise diverged


def divergence(position: Position, steps_per_epoch: int) -> Diverged | None:
    """The first loss of the current epoch that is not finite. Waits for the device."""
    losses = position.losses()
    finite = torch.isfinite(losses)
    if finite.all():
        return None
    bad = int((~finite).nonzero()[0])
    if bad == 0 and position.epoch == 0:
        return BadStart(losses[0].item())
    step = position.epoch * steps_per_epoch + bad
    return Diverged(f"loss is {losses[bad].item()}", step, position.epoch + 1)
