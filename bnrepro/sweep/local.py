"""The local launcher: a pool of long-lived worker processes on this machine."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.sweep.cost import longest_first
from bnrepro.sweep.fork_server import fork_server
from bnrepro.sweep.plan import Cell
from bnrepro.sweep.view import View
from bnrepro.sweep.worker import Elsewhere, Finished, Reported, Stopped, Task, work
from bnrepro.training.outcome import record_lost

STOP_SECONDS = 60.0
"""How long workers may take to write a checkpoint after Ctrl-C."""


Message = Reported | Finished | Elsewhere | Stopped


@dataclass
class Worker:
    """A process and our end of its pipe."""

    process: BaseProcess
    pipe: Connection
    gpu: int | None
    cells: Sequence[Cell] = ()
    """At work on: several train in lockstep."""


def default_jobs(config: RunConfig) -> int:
    """One worker per GPU; on the CPU one per `threads` cores."""
    from bnrepro.training.process.device import resolve_device

    if resolve_device(config.device).type == "cuda":
        import torch

        return torch.cuda.device_count()
    return max(1, len(os.sched_getaffinity(0)) // config.threads)


class Pool:
    """Runs groups of cells on `jobs` workers, the longest first."""

    def __init__(self, directory: Path, jobs: int, gpus: int, overrides: Sequence[str], view: View) -> None:
        self._directory = directory
        self._jobs = jobs
        self._gpus = gpus
        self._overrides = overrides
        self._view = view
        self._queue: deque[Sequence[Cell]] = deque()
        self._workers: list[Worker] = []
        self._results: dict[str, dict[str, Any]] = {}
        self.elsewhere: dict[str, str] = {}
        """Cell id -> where another process is at work on it, or on one of its group."""

    def run(self, groups: Sequence[Sequence[Cell]]) -> dict[str, dict[str, Any]]:
        """Run them all, the cells of a group in lockstep; cell id -> result.

        KeyboardInterrupt stops the workers and goes on upwards.
        """
        self._queue = deque(longest_first(groups))
        if not groups:
            return self._results
        self._context = fork_server()
        try:
            for index in range(min(self._jobs, len(groups))):
                self._workers.append(self._start(index % self._gpus if self._gpus else None))
            for worker in self._workers:
                self._feed(worker)
            while self._queue or any(worker.cells for worker in self._workers):
                self._listen()
        finally:
            self._end()
        return self._results

    def _start(self, gpu: int | None) -> Worker:
        ours, theirs = self._context.Pipe()
        # no daemon: those may not start the loader processes of a streamed data set; without us the pipe ends
        process = self._context.Process(target=work, args=(theirs, gpu))
        process.start()
        theirs.close()
        return Worker(process, ours, gpu)

    def _feed(self, worker: Worker) -> None:
        worker.cells = self._queue.popleft() if self._queue else ()
        if worker.cells:
            for cell in worker.cells:
                self._view.started(cell)
            tasks = [
                Task(cell.config, cell.directory(self._directory), self._overrides) for cell in worker.cells
            ]
            self._quietly(lambda pipe: pipe.send(tasks), worker.pipe)

    def _listen(self) -> None:
        by_handle: dict[Any, Worker] = {}
        for worker in self._workers:
            by_handle[worker.pipe] = worker
            by_handle[worker.process.sentinel] = worker
        ready = {id(by_handle[handle]): by_handle[handle] for handle in wait(list(by_handle), timeout=0.5)}
        for worker in ready.values():
            self._read(worker)
        self._view.refresh()

    def _read(self, worker: Worker) -> None:
        """Take what a worker has sent; replace it if it is dead."""
        while (message := self._received(worker)) is not None:
            self._take(worker, message)
        if not worker.process.is_alive():
            self._replace(worker)

    @staticmethod
    def _received(worker: Worker) -> Message | None:
        try:
            return worker.pipe.recv() if worker.pipe.poll() else None
        except (EOFError, OSError):
            worker.process.join()
            return None

    def _take(self, worker: Worker, message: Message) -> None:
        if not worker.cells:
            return
        if isinstance(message, Reported):
            self._view.progress(worker.cells[message.cell], message.progress)
        elif isinstance(message, Finished):
            for cell, result in zip(worker.cells, message.results, strict=True):
                self._finish(cell, result)
            self._feed(worker)
        elif isinstance(message, Elsewhere):
            for cell in worker.cells:
                self.elsewhere[cell.id] = message.message
                self._view.left_out(cell)
            self._feed(worker)
        else:  # somebody else's SIGTERM: the next worker continues them
            self._queue.appendleft(worker.cells)
            worker.cells = ()

    def _finish(self, cell: Cell, result: dict[str, Any]) -> None:
        self._results[cell.id] = result
        self._view.finished(cell, result)

    def _replace(self, worker: Worker) -> None:
        """A worker that died takes its cells with it, and nothing else."""
        code = worker.process.exitcode
        cause = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        for cell in worker.cells:
            directory = cell.directory(self._directory)
            self._finish(cell, record_lost(cell.config, directory, f"the worker process died ({cause})"))
        self._workers.remove(worker)
        worker.pipe.close()
        if self._queue:
            fresh = self._start(worker.gpu)
            self._workers.append(fresh)
            self._feed(fresh)

    def _end(self) -> None:
        """Let idle workers go; ask busy ones to write a checkpoint and stop."""
        for worker in self._workers:
            if worker.cells:
                worker.process.terminate()
            self._quietly(lambda pipe: pipe.send(None), worker.pipe)  # one that has just ended waits for more
        for worker in self._workers:
            worker.process.join(STOP_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()

    @staticmethod
    def _quietly(action: Callable[[Connection], None], pipe: Connection) -> None:
        try:
            action(pipe)
        except OSError:
            return  # it is gone already: `_replace` sees to it


def parse_jobs(jobs: object) -> int | None:
    """`auto` is None. Raises `UsageError`."""
    if jobs == "auto":
        return None
    try:
        number = int(str(jobs))
    except ValueError:
        number = 0
    if number < 1:
        raise UsageError(f"--jobs {jobs}: must be auto or a whole number from 1")
    return number
