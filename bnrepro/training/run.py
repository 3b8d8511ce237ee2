"""One run, from its config to `result.json`: `run` opens it, and `Run` is what happens between its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from bnrepro.config.convert import to_dict
from bnrepro.config.errors import Damaged, StorageError, UsageError
from bnrepro.config.identity import config_hash
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import STATISTICS
from bnrepro.data import Dataset, load_data
from bnrepro.norms.batch_statistics import batch_statistics_layers
from bnrepro.rundir.files import json_lines
from bnrepro.rundir.record import Record, finished_result
from bnrepro.rundir.run_error import evaluation_due, is_final
from bnrepro.rundir.tensorboard import TensorBoard
from bnrepro.training import checkpoint
from bnrepro.training.outcome import ended_result, failed_result, record_failure
from bnrepro.training.position import Position
from bnrepro.training.probing import Probing
from bnrepro.training.process.device import prepare_device, reset_peak_memory
from bnrepro.training.process.distributed import World
from bnrepro.training.process.environment import environment
from bnrepro.training.process.interrupt import Interrupted, StopFlag, stop_while_waiting
from bnrepro.training.progress import Progress, Report, no_report
from bnrepro.training.session import ALONE, Session
from bnrepro.training.trainer import BadStart, Chunk, Diverged, Trainer

NOTE_SECONDS = 5.0
"""Between two notes for `bnrepro status`."""
EPOCH_SECONDS = 0.5
"""Least time between the checkpoints of two epochs: shorter epochs would take as long to save as to train."""


def run(
    config: RunConfig,
    directory: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = True,
    stop: StopFlag | None = None,
    report: Report = no_report,
    announce: Callable[[Dataset], None] = lambda dataset: None,
    world: World = ALONE,
) -> dict[str, Any]:
    """Train and evaluate one cell in `directory`, and return its `result.json`.

    A finished directory is returned as it is; an interrupted one is continued from its checkpoint
    (`resume=False`: started again). A run that diverges or fails returns a result that says so. Raises
    `UsageError` for what the user can repair, `StorageError` where the run directory cannot be written, and
    `Interrupted` once `stop` is set and the checkpoint written. `announce` is told of the data when training
    begins. Every process of `world` calls this; the main one writes.
    """
    result = finished_result(directory, config)
    if resume and result is not None:
        return result
    device = prepare_device(config)
    record = Record(directory, config, writes=world.is_main)
    data = None
    try:
        reset_peak_memory(device)
        dataset = load_data(config.data)
        data = dataset.name
        session = Session.prepare(config, dataset, device, world)
        record.open(environment(device), overrides)  # not before: what is refused leaves nothing there
        announce(dataset)
        stop = stop or StopFlag()
        with stop_while_waiting(stop):
            return Run.open(session, record, resume=resume, stop=stop, report=report).finish()
    except (UsageError, StorageError, Interrupted):
        raise
    except Exception as error:  # a norm of the user's own may raise anything: the rest of a sweep goes on
        return record_failure(
            record,
            error,
            world.explain(error),
            environment=environment(device),
            overrides=overrides,
            data=data,
        )


@dataclass(eq=False)
class Run:
    """An open run: a session and its run directory."""

    session: Session
    record: Record
    position: Position
    probing: Probing
    stop: StopFlag
    report: Report
    _last_saved: float = field(default_factory=time.monotonic)
    _last_noted: float = 0.0
    _boards: list[TensorBoard] = field(default_factory=list)
    """One, unless `tensorboard=false`."""

    @classmethod
    def open(cls, session: Session, record: Record, *, resume: bool, stop: StopFlag, report: Report) -> Run:
        """Go back to the checkpoint, if there is one that fits. `resume=False`: forget it."""
        probing = Probing(session, record.directory)
        if not resume:
            record.forget_checkpoint()
        try:
            found = checkpoint.load(session, record) if resume else None
            state, metrics, remark = found or (None, [], "")
        except Damaged as error:
            state, metrics, remark = None, [], f"{error}; the run starts again"
        position = session.restore(state) if state else Position()
        record.go_back(metrics)
        record.say(remark)
        opened = cls(session, record, position, probing, stop, report)
        probing.go_back(opened.steps)
        return opened

    @property
    def config(self) -> RunConfig:
        return self.session.config

    @property
    def trainer(self) -> Trainer:
        return self.session.trainer

    def __enter__(self) -> Self:
        if self.config.tensorboard and self.session.world.is_main:
            self._boards.append(TensorBoard(self.record.directory, self.trainer.sgd_batch_size))
        for board in self._boards:
            for line in (*self.record.metrics, *self.probing.lines):
                board.evaluation(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for board in self._boards:
            board.close()

    def finish(self) -> dict[str, Any]:
        """Train what is left and write the result."""
        with self:
            try:
                self.probe()
                while not self.trained:
                    table = self.session.table(self.position.epoch)
                    self.trainer.train_epoch(table, self.position, self._pause)
                    self.end_epoch()
            except Diverged as diverged:
                return self.end(diverged)
            return self.end()

    @property
    def trained(self) -> bool:
        """Are all epochs done?"""
        return self.position.epoch == self.config.epochs

    @property
    def steps(self) -> int:
        """Taken so far in the whole run."""
        return self.position.epoch * self.trainer.steps_per_epoch + self.position.step

    def probe(self) -> None:
        """Look into the network, where probes are asked for and it is time."""
        for line in self.probing.look(self.steps):
            for board in self._boards:
                board.evaluation(line)

    def end_epoch(self) -> None:
        """After an epoch's last step: evaluate, if it is time, and save the result. Raises `Diverged`."""
        position = self.position
        self.session.world.average_buffers(self.trainer.model)
        self._check_finite()
        position.epoch += 1
        evaluated = evaluation_due(position.epoch, self.config.epochs, self.config.evaluation.every)
        if evaluated:
            line = self._evaluate()
            self.record.append(line)
            for board in self._boards:
                board.evaluation(line)
            position.evaluations += 1
        position.next_epoch()
        if evaluated and self._worth_saving():  # where nothing was found, those between steps are enough
            self.save()

    def end(self, diverged: Diverged | None = None) -> dict[str, Any]:
        """Write the result: the run is over."""
        if isinstance(diverged, BadStart):
            return self.record.finish(failed_result(self.config, str(diverged), self.session.dataset.name))
        result = ended_result(self.session, self.position, self.record.metrics, diverged)
        for board in self._boards:
            board.result(result, to_dict(self.config))
        return self.record.finish(result)

    def _check_finite(self) -> None:
        """Raises `Diverged`: a step's loss is from before its update, and does not show what that did."""
        model, position = self.trainer.model, self.position
        left: list[torch.Tensor] = [*model.parameters()]
        for layer in batch_statistics_layers(model).values():
            left += layer.buffers()
        if not torch.stack([tensor.isfinite().all() for tensor in left]).all():
            raise Diverged("weights or running statistics are not finite", self.steps - 1, position.epoch + 1)

    def _pause(self, chunk: Chunk) -> None:
        """Between chunks of steps: report, then save or stop if it is time."""
        self.note(chunk)
        self.probe()
        stop, save = self.session.world.any(self.stop.wanted, self.save_due())
        if stop or save:
            self.save()
        if stop:
            raise Interrupted

    def note(self, chunk: Chunk) -> None:
        """Report how the run goes, and note it for `bnrepro status`."""
        position, now = self.position, time.monotonic()
        progress = Progress(
            step=self.steps,
            total_steps=self.trainer.plain.total_steps,
            epoch=position.epoch + 1,
            images_per_second=chunk.images / max(chunk.seconds, 1e-9),
            error=self.record.metrics[-1]["error"].get("running") if self.record.metrics else None,
        )
        self.report(progress)
        if now - self._last_noted > NOTE_SECONDS:
            self.record.progress(progress.step, progress.epoch, progress.images_per_second)
            self._last_noted = now

    def save_due(self) -> bool:
        """Is it time for a checkpoint within the epoch?"""
        return time.monotonic() - self._last_saved > 60 * self.config.checkpoint.every_minutes

    def _worth_saving(self) -> bool:
        """At the end of an epoch: all processes must agree."""
        late = time.monotonic() - self._last_saved > EPOCH_SECONDS
        return self.trained or self.session.world.any(late)[0]

    def save(self) -> None:
        state = self.session.state(self.position)  # every process takes part
        if self.session.world.is_main:
            own = {"config_hash": config_hash(self.config), "metrics": json_lines(self.record.metrics)}
            checkpoint.save(self.record.directory, state | own)
        self._last_saved = time.monotonic()

    def _evaluate(self) -> dict[str, Any]:
        """One line of metrics.jsonl."""
        position, trainer = self.position, self.trainer
        start = time.perf_counter()
        final = is_final(position.epoch, self.config.epochs)
        statistics = STATISTICS if final else self.config.evaluation.statistics
        errors, moments = self.session.evaluator.errors(statistics, position.epoch)
        seconds = time.perf_counter() - start
        position.evaluation_seconds += seconds
        step = position.epoch * trainer.steps_per_epoch
        images = trainer.steps_per_epoch * trainer.sgd_batch_size
        line = {
            "epoch": position.epoch,
            "step": step,
            "lr": trainer.plain.lr(step - 1),
            "loss": position.losses().double().mean().item(),
            "train_error": 100.0 * position.wrong() / images,
            "error": errors,
            "images_per_second": step * trainer.sgd_batch_size / position.train_seconds,
            "train_seconds": position.train_seconds,
            "evaluation_seconds": seconds,
        }
        return line | ({"layers": moments.distances(trainer.model)} if moments else {})
