"""Measurements in fresh processes, several side by side."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Barrier
from typing import Any

from bnrepro.config.schema import RunConfig
from bnrepro.sweep.fork_server import fork_server
from bnrepro.sweep.worker import visible_device

START_SECONDS = 300.0
"""How long the measurements may wait for the slowest of them to get ready."""


@dataclass(frozen=True)
class Speed:
    """What one process got done."""

    amount: float
    """Images, or floating-point operations."""
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Together:
    """What the processes of a measurement got done side by side."""

    per_second: float
    peak_memory_bytes: int
    """Of the process with the largest one."""

    @classmethod
    def of(cls, speeds: Sequence[Speed]) -> Together:
        return cls(
            sum(speed.amount / speed.seconds for speed in speeds),
            max(speed.peak_memory_bytes for speed in speeds),
        )


Measure = Callable[..., Speed]
"""`measure(config, seconds, start, **options)`: gets ready, calls `start`, measures for about `seconds`."""


def side_by_side(
    measure: Measure, config: RunConfig, seconds: float, *, jobs: int, gpus: int, **options: Any
) -> Together:
    """Run `measure` in `jobs` fresh processes that start together. Raises RuntimeError where one fails.

    A process of its own has a peak of memory of its own.
    """
    context = fork_server()  # without torchvision, whose memory is the tutorial loop's
    barrier = context.Barrier(jobs)
    pipes, processes = [], []
    try:
        for index in range(jobs):
            ours, theirs = context.Pipe(duplex=False)
            gpu = index % gpus if gpus else None
            arguments = (theirs, barrier, gpu, measure, config, seconds, options)
            processes.append(context.Process(target=_measure, args=arguments))
            processes[-1].start()
            theirs.close()
            pipes.append(ours)
        return Together.of(_speeds([_receive(pipe) for pipe in pipes], config))
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()


def _receive(pipe: Connection) -> Speed | str:
    """The speed, or what went wrong."""
    with pipe:
        try:
            return pipe.recv()
        except EOFError:
            return "the process died"


def _speeds(answers: Sequence[Speed | str], config: RunConfig) -> list[Speed]:
    wrong = [answer for answer in answers if isinstance(answer, str)]
    if wrong:
        # where one fails the others only say that they waited in vain
        cause = next((answer for answer in wrong if not answer.startswith("BrokenBarrierError")), wrong[0])
        raise RuntimeError(f"{config.norm.name}, batch size {config.batch_size}: {cause}")
    return [answer for answer in answers if isinstance(answer, Speed)]


def _measure(
    pipe: Connection,
    barrier: Barrier,
    gpu: int | None,
    measure: Measure,
    config: RunConfig,
    seconds: float,
    options: dict[str, Any],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once: there is nothing to keep
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_device(gpu)
    try:
        pipe.send(measure(config, seconds, lambda: barrier.wait(START_SECONDS), **options))
    except Exception as error:
        barrier.abort()
        pipe.send(f"{type(error).__name__}: {error}")
