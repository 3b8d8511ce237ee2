"""A long-lived worker process: takes cells from a pipe, says how they go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.sweep.lock import exclusive
from bnrepro.training.device import resolve_device
from bnrepro.training.interrupt import Interrupted, StopFlag
from bnrepro.training.run import Progress, failed_result, run

REPORT_SECONDS = 0.2


def preloaded(config: RunConfig) -> list[str]:
    """The modules of the process that workers are forked from."""
    on_cpu = resolve_device(config.device).type == "cpu"
    return [__name__, *(["bnrepro.training.preload"] if on_cpu else [])]


@dataclass(frozen=True)
class Task:
    """One cell to run."""

    config: RunConfig
    directory: Path
    overrides: Sequence[str]


@dataclass(frozen=True)
class Finished:
    result: dict[str, Any]


@dataclass(frozen=True)
class Stopped:
    """The run was asked to stop and has written its checkpoint."""


def work(pipe: Connection, gpu: int | None) -> None:
    """Run tasks until the pipe ends. SIGTERM stops the run under way at its next checkpoint."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_device(gpu)
    stop = StopFlag()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the sweep decides
    signal.signal(signal.SIGTERM, stop.set)
    try:
        while (task := pipe.recv()) is not None:
            pipe.send(_run(task, pipe, stop))
            if stop.wanted:
                return
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the sweep is gone; what the checkpoint has is kept


def visible_device(gpu: int) -> str:
    """The device name of this sweep's `gpu`-th GPU, where the user already chose among them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return chosen.split(",")[gpu] if chosen else str(gpu)


def _run(task: Task, pipe: Connection, stop: StopFlag) -> Finished | Stopped:
    try:
        with exclusive(task.directory, "a run"):
            result = run(
                task.config,
                task.directory,
                overrides=task.overrides,
                stop=stop,
                report=_Reporter(pipe, stop),
            )
        return Finished(result)
    except Interrupted:
        return Stopped()
    except UsageError as error:
        return Finished(failed_result(task.config, str(error)))


class _Reporter:
    """Passes progress on, but not faster than anyone looks; where nobody listens any more, the run stops."""

    def __init__(self, pipe: Connection, stop: StopFlag) -> None:
        self._pipe = pipe
        self._stop = stop
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= REPORT_SECONDS or progress.step == progress.total_steps:
            self._last = now
            try:
                self._pipe.send(progress)
            except OSError:
                self._stop.set()
