"""One epoch: batches in, steps taken, what they were like out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnrepro.data.feed import Feed
from bnrepro.training.optimizer import set_lr
from bnrepro.training.position import Position
from bnrepro.training.process.distributed import World
from bnrepro.training.step.accumulation import Accumulation
from bnrepro.training.step.replayed import CapturedStep, Recorder


@dataclass(frozen=True)
class Chunk:
    """What a few steps in a row were like; the pause after it is when anything else may happen."""

    images: int
    seconds: float


class Diverged(Exception):
    """Something is not finite: a result, not an error."""

    def __init__(self, what: str, step: int, epoch: int) -> None:
        super().__init__(f"{what} at step {step} (epoch {epoch})")


@dataclass
class Trainer:
    """Model and optimizer at work on a feed."""

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    """The model under the run's precision and processes: `x: (N, C, H, W)` to logits."""
    optimizer: torch.optim.Optimizer
    lr: Callable[[int], float]
    """The rate by step, from 0 over the whole run."""
    feed: Feed
    sgd_batch_size: int
    steps_per_epoch: int
    total_steps: int
    world: World
    accumulation: Accumulation
    record: Recorder | None = None
    """Records the step, where the device can replay it."""

    def __post_init__(self) -> None:
        self._scheduled = scheduled_modules(self.model)
        self._step: Callable[[Tensor, Tensor, int], Tensor] = self._plain_step
        if self.record is not None:
            self._step = CapturedStep(
                self._take_step,
                self.optimizer,
                self.model.buffers(),
                self.record,
                self._get_ready,
                telling_steps(self.total_steps),
            )

    def chunks(self, position: Position) -> list[tuple[int, int]]:
        """What is left of the epoch, as first step and the one after the last of each chunk."""
        steps = max(1, self.feed.chunk_images // self.sgd_batch_size)
        firsts = range(position.step, self.steps_per_epoch, steps)
        return [(first, min(first + steps, self.steps_per_epoch)) for first in firsts]

    def train_epoch(self, table: Any, position: Position, pause: Callable[[Chunk], None]) -> None:
        """Take the steps that are left of an epoch, noting them in `position`.

        `pause` is called between chunks of steps; what it raises ends the epoch there. Raises `Diverged`: on
        the CPU after the chunk, elsewhere at the epoch's end, so that the device is not waited for.
        """
        size = self.sgd_batch_size
        local = size // self.world.size
        chunks = self.chunks(position)
        batches = self.feed.train_batches(table, (self.world.positions(*chunk, size) for chunk in chunks))
        for first, last in chunks:
            start = time.perf_counter()
            x, y = next(batches)
            done = position.epoch * self.steps_per_epoch + first
            losses, wrong = self._steps(x.split(local), y.split(local), done)
            self.world.mean_(losses)
            self.world.sum_(wrong)
            position.note(losses, wrong, last)
            if x.device.type == "cpu" or last == self.steps_per_epoch:
                self._check_finite(position)
            seconds = time.perf_counter() - start
            position.train_seconds += seconds
            pause(Chunk(images=(last - first) * size, seconds=seconds))

    def _steps(
        self, images: tuple[Tensor, ...], labels: tuple[Tensor, ...], done: int
    ) -> tuple[Tensor, Tensor]:
        """One optimizer step per batch; the loss of each and the number of wrong guesses of all."""
        outputs = []
        for i, (x, y) in enumerate(zip(images, labels, strict=True)):
            outputs.append(self.train_step(x, y, done + i))
        # once for all the steps: at a batch of one, a call costs as much as it does for hundreds of images
        logits, target = torch.cat(outputs).float(), torch.cat(labels)
        losses = F.cross_entropy(logits, target, reduction="none").view(len(outputs), -1).mean(1)
        return losses, (logits.argmax(1) != target).sum()

    def train_step(self, x: Tensor, y: Tensor, step: int) -> Tensor:
        """Step `step` of the run, counted from 0, on `x: (N, C, H, W)`, `y: (N,)`; the logits, detached."""
        return self._step(x, y, step)

    def _plain_step(self, x: Tensor, y: Tensor, step: int) -> Tensor:
        self._get_ready(step)
        return self._take_step(x, y)

    def _get_ready(self, step: int) -> None:
        """Set the learning rate, and tell the norms that want to know the step's number."""
        set_lr(self.optimizer, self.lr(step))
        for module in self._scheduled:
            module.schedule(step, self.total_steps)  # type: ignore[operator]

    def _take_step(self, x: Tensor, y: Tensor) -> Tensor:
        logits = self.accumulation.gradients(self.forward, x, y)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return logits

    def _check_finite(self, position: Position) -> None:
        if diverged := divergence(position, self.steps_per_epoch):
            raise diverged


def scheduled_modules(model: nn.Module) -> list[nn.Module]:
    """The norms that want to know each step's number."""
    return [module for module in model.modules() if hasattr(module, "schedule")]


def telling_steps(total_steps: int) -> tuple[int, int, int]:
    """The first, one midway, the last: their rates and schedules differ, if any steps' do."""
    return 0, total_steps // 2, total_steps - 1


def divergence(position: Position, steps_per_epoch: int) -> Diverged | None:
    """The first bad loss of the epoch under way. Waits for the device."""
    losses = position.losses()
    finite = torch.isfinite(losses)
    if finite.all():
        return None
    bad = int((~finite).nonzero()[0])
    step = position.epoch * steps_per_epoch + bad
    return Diverged(f"loss is {losses[bad].item()}", step, position.epoch + 1)
