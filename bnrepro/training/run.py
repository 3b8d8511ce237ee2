"""One run, from its config to `result.json`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.data import load_data
from bnrepro.training import checkpoint
from bnrepro.training.checkpoint import Position
from bnrepro.training.device import peak_memory_bytes, prepare_device, reset_peak_memory
from bnrepro.training.distributed import World
from bnrepro.training.environment import environment
from bnrepro.training.interrupt import Interrupted, StopFlag
from bnrepro.training.loop import Chunk, Diverged, Trainer
from bnrepro.training.measure import evaluation_due, is_final, last_errors, run_error
from bnrepro.training.record import TENSORBOARD, Record, check_same_config, read_result, result_head
from bnrepro.training.session import ALL_STATISTICS, ALONE, Session
from bnrepro.training.tensorboard import TensorBoard

OVER = ("completed", "diverged")
NOTE_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """What a watcher is told."""

    step: int
    total_steps: int
    epoch: int
    images_per_second: float
    error: float | None


Report = Callable[[Progress], None]


def run(
    config: RunConfig,
    directory: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = True,
    stop: StopFlag | None = None,
    report: Report = lambda progress: None,
    world: World = ALONE,
) -> dict[str, Any]:
    """Train and evaluate one cell in `directory`, and return its `result.json`.

    A finished directory is returned as it is; an interrupted one is continued from its checkpoint
    (`resume=False`: started again). A run that diverges or fails returns a result that says so. Raises
    `UsageError` for what the user can mend, and `Interrupted` once `stop` is set and the checkpoint written.
    Every process of `world` calls this; the main one writes.
    """
    check_same_config(directory, config)
    result = read_result(directory)
    if resume and result is not None and result["status"] in OVER:
        return result
    device = prepare_device(config)
    record = Record(directory, config, writes=world.is_main)
    record.open(environment(device), overrides)
    try:
        reset_peak_memory(device)
        session = Session.prepare(config, load_data(config.data), device, world)
        return Run.open(session, record, resume=resume, stop=stop or StopFlag(), report=report).finish()
    except (UsageError, Interrupted):
        raise
    except Exception as error:  # a norm of the user's own may raise anything: the rest of a sweep goes on
        if not isinstance(error, ValueError | RuntimeError | OSError):
            traceback.print_exc()
        return record.finish(failed_result(config, f"{type(error).__name__}: {error}"))


def failed_result(config: RunConfig, message: str) -> dict[str, Any]:
    """`result.json` of a run that ended without a number."""
    return {**result_head(config), "status": "failed", "error": {}, "last_errors": {}, "message": message}


@dataclass
class Run:
    """A run under way: a session and its run directory."""

    session: Session
    record: Record
    position: Position
    stop: StopFlag
    report: Report
    _last_saved: float = field(default_factory=time.monotonic)
    _last_noted: float = 0.0

    @classmethod
    def open(cls, session: Session, record: Record, *, resume: bool, stop: StopFlag, report: Report) -> Run:
        """Go back to the checkpoint, if there is one. `resume=False`: forget it."""
        if not resume:
            record.forget_checkpoint()
        state = checkpoint.load(record.directory, session.device) if resume else None
        position = session.restore(state) if state else Position()
        record.cut_back(position.evaluations)
        return cls(session, record, position, stop, report)

    @property
    def config(self) -> RunConfig:
        return self.session.config

    @property
    def trainer(self) -> Trainer:
        return self.session.trainer

    def finish(self) -> dict[str, Any]:
        """Train what is left, and write the result."""
        with closing(self._tensorboard()) as board:
            for line in self.record.metrics:
                board.evaluation(line)
            try:
                while self.position.epoch < self.config.epochs:
                    self._epoch(board)
                result = self._completed()
            except Diverged as diverged:
                result = self._diverged(str(diverged))
            board.result(result, self.config.optimizer.base_lr)
        return self.record.finish(result)

    def _tensorboard(self) -> Any:
        if self.config.tensorboard and self.session.world.is_main:
            return TensorBoard(self.record.directory / TENSORBOARD)
        return NoTensorBoard()

    def _epoch(self, board: Any) -> None:
        position = self.position
        self.trainer.train_epoch(self.session.table(position.epoch), position, self._pause)
        position.epoch += 1
        self.session.world.average_buffers(self.trainer.model)
        if evaluation_due(position.epoch, self.config.epochs, self.config.evaluation.every):
            line = self._evaluate()
            self.record.append(line)
            board.evaluation(line)
            position.evaluations += 1
        position.next_epoch()
        self._save()

    def _pause(self, chunk: Chunk) -> None:
        """Between chunks of steps: say how it goes, and save or stop where it is time."""
        position, now = self.position, time.monotonic()
        progress = Progress(
            step=position.epoch * self.trainer.steps_per_epoch + position.step,
            total_steps=self.trainer.total_steps,
            epoch=position.epoch + 1,
            images_per_second=chunk.images / max(chunk.seconds, 1e-9),
            error=self.record.metrics[-1]["error"].get("running") if self.record.metrics else None,
        )
        self.report(progress)
        if now - self._last_noted > NOTE_SECONDS:
            self.record.progress(progress.step, progress.epoch, progress.images_per_second)
            self._last_noted = now
        due = now - self._last_saved > 60 * self.config.checkpoint.every_minutes
        stop, save = self.session.world.any(self.stop.wanted, due)
        if stop or save:
            self._save()
        if stop:
            raise Interrupted

    def _save(self) -> None:
        state = self.session.state(self.position)
        if self.session.world.is_main:
            checkpoint.save(self.record.directory, state)
        self._last_saved = time.monotonic()

    def _evaluate(self) -> dict[str, Any]:
        """One line of metrics.jsonl."""
        position, trainer = self.position, self.trainer
        start = time.perf_counter()
        final = is_final(position.epoch, self.config.epochs)
        statistics = ALL_STATISTICS if final else self.config.evaluation.statistics
        errors, moments = self.session.evaluator.errors(statistics, position.epoch)
        seconds = time.perf_counter() - start
        position.evaluation_seconds += seconds
        step = position.epoch * trainer.steps_per_epoch
        images = trainer.steps_per_epoch * trainer.sgd_batch_size
        line = {
            "epoch": position.epoch,
            "step": step,
            "lr": trainer.lr(step - 1),
            "loss": position.losses().double().mean().item(),
            "train_error": 100.0 * position.wrong() / images,
            "error": errors,
            "images_per_second": step * trainer.sgd_batch_size / position.train_seconds,
            "train_seconds": position.train_seconds,
            "evaluation_seconds": seconds,
        }
        return line | ({"layers": moments.distances(trainer.model)} if moments else {})

    def _completed(self) -> dict[str, Any]:
        last = last_errors(self.record.metrics, self.config.epochs)
        return self._result("completed", run_error(last), last, "")

    def _diverged(self, message: str) -> dict[str, Any]:
        chance = 100.0 * (1 - 1 / len(self.session.dataset.classes))
        names = ALL_STATISTICS if self.session.batch_statistics else ALL_STATISTICS[:1]
        return self._result("diverged", dict.fromkeys(names, chance), {}, message)

    def _result(
        self, status: str, error: dict[str, float], last: dict[str, list[float]], message: str
    ) -> dict[str, Any]:
        position, norm_batch = self.position, self.session.evaluator.norm_batch_size
        steps = position.epoch * self.trainer.steps_per_epoch + position.step
        return {
            **result_head(self.config),
            "status": status,
            "workers": self.session.sizes.workers,
            "sgd_batch_size": self.session.sizes.sgd_batch_size,
            "norm_batch_size": norm_batch if self.session.batch_statistics else None,
            "data": self.session.dataset.name,
            "skipped_files": list(self.session.dataset.skipped),
            "error": error,
            "last_errors": last,
            "train_error": self.record.metrics[-1]["train_error"] if self.record.metrics else None,
            "wall_seconds": position.train_seconds + position.evaluation_seconds,
            "train_seconds": position.train_seconds,
            "evaluation_seconds": position.evaluation_seconds,
            "images_per_second": steps
            * self.session.sizes.sgd_batch_size
            / max(position.train_seconds, 1e-9),
            "peak_memory_bytes": peak_memory_bytes(self.session.device),
            "message": message,
        }


class NoTensorBoard:
    """Stands in where `tensorboard=false`."""

    def evaluation(self, line: dict[str, Any]) -> None:
        return

    def result(self, result: dict[str, Any], base_lr: float) -> None:
        return

    def close(self) -> None:
        return
