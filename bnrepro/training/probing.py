"""The probes of a run: when they look, at which images, and `probes.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from bnrepro.probes.network import Network
from bnrepro.probes.observer import Observer
from bnrepro.probes.steps import steps_to_probe
from bnrepro.rundir.probe_record import FILE, Line, ProbeRecord
from bnrepro.training.session import Session, with_precision

IMAGES = 300
"""About so many training images are passed through the network at each step that is looked at."""


class Probing:
    """Looks into the network of a session, where the config asks for that.

    Made before the checkpoint is restored: the first look is at the initial weights. Raises `UsageError`
    for a probe that does not exist.
    """

    def __init__(self, session: Session, directory: Path) -> None:
        config = session.config
        self._record = ProbeRecord(directory / FILE, session.world.is_main)
        self._observer: Observer | None = None
        if config.probes:
            total = session.trainer.plain.total_steps
            network = _network(session)
            steps = steps_to_probe(total, config.probe_steps)
            self._observer = Observer(config.probes, steps, total, network.snapshots())
            session.trainer.stops = self._observer.stops

    @property
    def lines(self) -> list[Line]:
        """What was measured so far."""
        return self._record.lines

    def go_back(self, step: int) -> None:
        """Forget what was measured after the checkpoint, which is at `step`."""
        if self._observer is not None:
            complete_at = self._observer.complete_at
            self._record.go_back(lambda measured: complete_at(measured) <= step)

    def look(self, step: int) -> Iterator[Line]:
        """The run has taken `step` steps: measure what is due. Every process has to call this."""
        if self._observer is not None:
            for line in self._observer.at(step, self._record.steps):
                self._record.append(line)
                yield line


def _network(session: Session) -> Network:
    """The network that is training, with the probe batch."""
    config, task = session.config, session.task

    def forward(model: nn.Module) -> nn.Module:
        return with_precision(model, config.precision, session.device)  # type: ignore[return-value]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return task.loss(outputs, targets, "mean")

    x, y = _batch(session)

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        session.world.average_buffers(model)  # of a copy: the run's own are averaged when they are needed
        evaluator = replace(session.evaluator, model=model, forward=forward(model))
        return {"train": evaluator.judged([(x, y)]), "test": evaluator.judged(evaluator.test_batches())}

    return Network(session.trainer.model, forward, loss, x, y, evaluate)


def _batch(session: Session) -> tuple[Tensor, Tensor]:
    """Training images with draws of their own, the same at every step: whole normalization batches."""
    feed = session.trainer.feed
    group = session.evaluator.norm_batch_size if session.traits.batch_statistics else 1
    images = max(1, min(IMAGES, len(feed)) // group) * group
    table = feed.table(session.config.seed, 0, "probe")
    return next(feed.train_batches(table, [slice(0, images)]))
