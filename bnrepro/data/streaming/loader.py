"""The `torch` feed's reader: loader processes that decode with torchvision, some requests ahead."""

from __future__ import annotations

import multiprocessing
import os
import signal
import weakref
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bnrepro.config.schema import StreamConfig
from bnrepro.data.streaming.decoder import Decoder
from bnrepro.data.streaming.listing import FileSplit
from bnrepro.data.streaming.names import FileNames
from bnrepro.data.streaming.requests import Request, unreadable

MOST_WORKERS = 8
"""By itself; they decode 3,000 to 4,000 images a second, as much as a GPU takes."""
AHEAD = 4
"""Requests that each worker has under way or ready."""

Answer = tuple[Tensor, str, str]
"""The pixels; or the file that is broken, and why."""


def default_workers() -> int:
    """One per core of this process, where torchrun shares them out, and at most `MOST_WORKERS`."""
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(MOST_WORKERS, max(1, cores))


class LoaderReader:
    """`Reader` on torch's DataLoader. The processes are started once, and serve both sides."""

    def __init__(self, sides: Mapping[str, FileSplit], config: StreamConfig, device: torch.device) -> None:
        workers = default_workers() if config.workers is None else config.workers
        if workers:
            Finalize(None, _end_loader_processes, exitpriority=1)
        self._requests = _Requests()
        self._loader = DataLoader(
            _Files(sides, Decoder(config.crop_size, config.resize_size, config.min_area)),
            batch_size=None,
            sampler=self._requests,
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
            worker_init_fn=_leave_signals_to_the_run if workers else None,
        )
        # Held from here, it is never part of a cycle that the garbage collector breaks up: that ends the
        # queues before the loader, which then waits ten seconds for each process to hear of it.
        weakref.finalize(self, _let_go, self._loader).atexit = False

    def images(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        self._requests.source = requests
        try:
            for pixels, path, reason in self._loader:
                if reason:
                    raise unreadable(Path(path), reason)
                yield pixels
        finally:
            self._requests.source = ()


class _Requests(Sampler[Request]):
    """The requests of the iteration under way; the draws travel to the processes with them."""

    def __init__(self) -> None:
        self.source: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.source)


class _Files(Dataset[Answer]):
    """What a loader process holds: the names, and how to decode."""

    def __init__(self, sides: Mapping[str, FileSplit], decoder: Decoder) -> None:
        self._names: dict[str, FileNames] = {side: split.names for side, split in sides.items()}
        self._roots = {side: split.root for side, split in sides.items()}
        self._decoder = decoder

    def __getitem__(self, request: Request) -> Answer:
        """An error is an answer too: DataLoader would wrap an exception in a traceback of many lines."""
        shape = (len(request.indices), 3, self._decoder.crop_size, self._decoder.crop_size)
        # as the decoder has them, and as the network wants them: nobody has to turn them around
        pixels = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        for i, index in enumerate(request.indices):
            path = self._roots[request.side] / self._names[request.side][int(index)]
            try:
                pixels[i] = self._crop(path, None if request.uniform is None else request.uniform[i])
            # Decoders raise RuntimeError, OSError, SyntaxError, ValueError and more for a broken file.
            except Exception as error:
                return pixels, str(path), _reason(error, path)
        return pixels, "", ""

    def _crop(self, path: Path, uniform: np.ndarray | None) -> Tensor:
        return self._decoder.test_crop(path) if uniform is None else self._decoder.train_crop(path, uniform)


def _reason(error: Exception, path: Path) -> str:
    """One line; torchvision puts the place in its own source in front."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rpartition(".cpp:")[2].partition(", ")[2] or text.replace(str(path), path.name)


def _leave_signals_to_the_run(worker: int) -> None:
    """Ctrl-C and Slurm's SIGTERM reach every process, and the run decides; it still needs its batch."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _let_go(loader: DataLoader[Answer]) -> None:
    """It ends with its last reference, which was this one."""


def _end_loader_processes() -> None:
    """At the exit of the process: multiprocessing would send SIGTERM, and wait for ever."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
