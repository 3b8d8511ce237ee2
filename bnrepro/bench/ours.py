"""(a) bnrepro's own training loop, as its sweep's workers run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bnrepro.bench.images import bench_images
from bnrepro.bench.processes import Speed
from bnrepro.config.schema import RunConfig
from bnrepro.training.process.device import peak_memory_bytes, prepare_device, reset_peak_memory
from bnrepro.training.session import Session
from bnrepro.training.speed.timing import at_standstill, standstill_sessions, timer


def prepare(config: RunConfig) -> Session:
    """A session on this process's device."""
    device = prepare_device(config)
    reset_peak_memory(device)
    return Session.prepare(at_standstill(config), bench_images(config.data), device)


def training_loop(config: RunConfig, seconds: float, start: Callable[[], object], *, lockstep: int) -> Speed:
    """Training steps of one worker: data, augmentation, step and sums; no evaluation, no files.

    `lockstep` seeds train as one; the images are those of all of them.
    """
    device = prepare_device(config)
    reset_peak_memory(device)
    seeds = [replace(config, seed=seed) for seed in range(lockstep)]
    timed = timer(standstill_sessions(seeds, bench_images(config.data), device))
    timed(0.0)
    start()
    images, elapsed = timed(seconds)
    return Speed(images, elapsed, peak_memory_bytes(device))
