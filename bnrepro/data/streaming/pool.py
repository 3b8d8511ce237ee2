"""Processes that fill shared memory with images, some requests ahead of whoever takes them.

The pixels lie in anonymous memory that the processes inherit; what travels through the pipes is small.
Nothing depends on the size of /dev/shm, and no socket gets a name in TMPDIR.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize

import torch
from torch import Tensor

from bnrepro.config.errors import UsageError
from bnrepro.data.streaming.requests import UNIT, Request
from bnrepro.data.waiting import wait_for

AHEAD = 4
"""Requests that each process has under way or ready."""
END_SECONDS = 1.0
"""A process that hangs in the kernel, as on a network disk, is not waited for any longer."""

Fill = Callable[[Request, Tensor], str]
"""Writes the images of a request into a tensor; what is wrong, if anything."""


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    pipe: Connection


class Pool:
    """`count` processes that call `fill`; they end with the pool, and with the process that made it.

    Requests are dealt in turn, and answers taken in the same turn, so that the i-th request has its place in
    the memory to itself from the moment it is asked for until the one after it is taken.
    """

    def __init__(self, count: int, fill: Fill, crop_size: int) -> None:
        self._places = _shared_images(count * AHEAD, crop_size)
        self._workers: list[_Worker] = []
        self._asked = 0
        self._answered = 0
        Finalize(self, _end, args=(self._workers,), exitpriority=1)
        for _ in range(count):
            self._start(fill)

    def images(self, requests: Iterable[Request]) -> Iterator[Tensor | str]:
        """For each request its pixels `(n, 3, H, W)` uint8, or what is wrong.

        Good until the next is asked for. Raises RuntimeError where a process has died, and `StoppedWaiting`.
        """
        while self._answered < self._asked:  # of an iteration that was broken off
            self._answer()
        source = iter(requests)
        sizes: dict[int, int] = {}
        ended = False
        while True:
            while not ended and self._asked - self._answered < len(self._places):
                if (request := next(source, None)) is None:
                    ended = True
                else:
                    sizes[self._asked] = len(request.indices)
                    self._ask(request)
            if self._answered == self._asked:
                return
            taken = self._answered
            wrong = self._answer()
            yield wrong or self._places[taken % len(self._places)][: sizes.pop(taken)]

    def _start(self, fill: Fill) -> None:
        context = multiprocessing.get_context("fork")  # inherits the memory, the names and what is imported
        ours, theirs = context.Pipe()
        inherited = [ours, *(worker.pipe for worker in self._workers)]
        process = context.Process(
            target=_work, args=(theirs, inherited, fill, self._places), name="bnrepro-loader", daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    def _ask(self, request: Request) -> None:
        place = self._asked % len(self._places)
        worker = self._workers[self._asked % len(self._workers)]
        try:
            worker.pipe.send((place, request))
        except OSError as error:
            raise _died(worker) from error
        self._asked += 1

    def _answer(self) -> str:
        """What was wrong with the next request."""
        worker = self._workers[self._answered % len(self._workers)]
        wait_for(worker.pipe.poll)
        try:
            wrong: str = worker.pipe.recv()
        except (EOFError, OSError) as error:
            raise _died(worker) from error
        self._answered += 1
        return wrong


def _shared_images(count: int, crop_size: int) -> Sequence[Tensor]:
    """Memory for `count` requests, each `(UNIT, 3, crop_size, crop_size)` uint8 channels_last."""
    need = count * UNIT * crop_size * crop_size * 3
    try:
        memory = mmap.mmap(-1, need)
    except (OSError, OverflowError, ValueError) as error:
        raise UsageError(
            f"data.stream.workers: {need / 2**30:.2g} GiB for the images under way cannot be had ({error}); "
            "give fewer workers or a smaller data.stream.crop_size"
        ) from error
    with torch.inference_mode(False):  # a run may continue with an evaluation, and training flips in place
        pixels = torch.frombuffer(memory, dtype=torch.uint8)
        return list(pixels.view(count, UNIT, crop_size, crop_size, 3).permute(0, 1, 4, 2, 3))


def _work(pipe: Connection, inherited: Sequence[Connection], fill: Fill, places: Sequence[Tensor]) -> None:
    """Answer until the pipe ends, which it does with the run."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Ctrl-C and Slurm's SIGTERM reach every process, and the run decides; it still needs its batch
        signal.signal(number, signal.SIG_IGN)
    for other in inherited:  # else the pipes of a run that was killed would stay open
        other.close()
    torch.set_num_threads(1)
    try:
        while True:
            place, request = pipe.recv()
            pipe.send(fill(request, places[place]))
    except (EOFError, OSError):
        os._exit(0)


def _died(worker: _Worker) -> RuntimeError:
    worker.process.join(END_SECONDS)
    code = worker.process.exitcode
    how = f"exit code {code}"
    if code is not None and code < 0:
        how = f"{signal.Signals(-code).name}; the system kills what takes too much memory"
    return RuntimeError(f"a loader process ended while it read images ({how})")


def _end(workers: Sequence[_Worker]) -> None:
    """They hold nothing that would be lost."""
    for worker in workers:
        worker.process.kill()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(END_SECONDS)
