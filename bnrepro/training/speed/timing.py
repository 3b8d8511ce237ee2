"""The speed of training steps without evaluation and files: for the forecast and the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import torch

from bnrepro.config.schema import RunConfig
from bnrepro.data import Dataset
from bnrepro.training.lockstep.stacked import Lockstep
from bnrepro.training.position import Position
from bnrepro.training.process.device import wait_for
from bnrepro.training.session import Session
from bnrepro.training.trainer import Chunk

Pause = Callable[[Chunk], None]

STANDSTILL_LR = 1e-12
"""Weights stay as they were drawn: an exploding loss would distort the timing, or end it."""


class _Enough(Exception):
    pass


def at_standstill(config: RunConfig) -> RunConfig:
    """The config with a learning rate that moves nothing: its steps cost what they always cost."""
    return replace(config, optimizer=replace(config.optimizer, base_lr=STANDSTILL_LR))


def standstill_sessions(
    configs: Sequence[RunConfig], dataset: Dataset, device: torch.device
) -> list[Session]:
    """Cells to be timed: their steps move nothing. The data lies on the device once."""
    feeds = dataset.feeds(configs[0].data, device)
    return [Session.prepare(at_standstill(config), dataset, device, feeds=feeds) for config in configs]


def timer(sessions: Sequence[Session]) -> Callable[[float], tuple[int, float]]:
    """`time(at_least)`: images and seconds of the sessions' training steps, of several in lockstep."""
    if len(sessions) == 1:
        return partial(time_training, sessions[0])
    return partial(time_lockstep, Lockstep(sessions))


def time_training(session: Session, at_least: float) -> tuple[int, float]:
    """Images and seconds of the training loop's steps: whole chunks, over `at_least` seconds.

    Prepare the session from a config `at_standstill`.
    """

    def epoch(pause: Pause) -> None:
        session.trainer.train_epoch(session.table(0), Position(), pause)

    return _time_epochs(epoch, at_least, session.device)


def time_lockstep(lockstep: Lockstep, at_least: float) -> tuple[int, float]:
    """The same for models in lockstep; the images are those of all of them."""

    def epoch(pause: Pause) -> None:
        lockstep.train_epoch([Position() for _ in range(len(lockstep))], pause)

    images, seconds = _time_epochs(epoch, at_least, lockstep.device)
    return images * len(lockstep), seconds


def _time_epochs(epoch: Callable[[Pause], None], at_least: float, device: torch.device) -> tuple[int, float]:
    images = 0
    start = time.perf_counter()

    def pause(chunk: Chunk) -> None:
        nonlocal images
        images += chunk.images
        if time.perf_counter() - start >= at_least:
            raise _Enough

    with suppress(_Enough):
        while True:
            epoch(pause)
    wait_for(device)
    return images, time.perf_counter() - start


def time_steps(step: Callable[[], object], at_least: float, device: torch.device) -> tuple[int, float]:
    """How often `step` was called, and the seconds that took: the first call that ends after `at_least`."""
    steps, start = 0, time.perf_counter()
    while steps == 0 or time.perf_counter() - start < at_least:
        step()
        steps += 1
    wait_for(device)
    return steps, time.perf_counter() - start
