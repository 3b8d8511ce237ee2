"""The speed of training steps, without the run around them: for the forecast and the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import torch

from bnrepro.config.schema import RunConfig
from bnrepro.training.checkpoint import Position
from bnrepro.training.loop import Chunk
from bnrepro.training.session import Session

STANDSTILL_LR = 1e-12
"""Weights stay as they were drawn: a loss that explodes would be timed, or end it."""


class _Enough(Exception):
    pass


def at_standstill(config: RunConfig) -> RunConfig:
    """The config with a learning rate that moves nothing: its steps cost what they always cost."""
    return replace(config, optimizer=replace(config.optimizer, base_lr=STANDSTILL_LR))


def time_training(session: Session, at_least: float) -> tuple[int, float]:
    """Images and seconds of the training loop's steps: whole chunks, over `at_least` seconds.

    Prepare the session from a config `at_standstill`.
    """
    images = 0
    start = time.perf_counter()

    def pause(chunk: Chunk) -> None:
        nonlocal images
        images += chunk.images
        if time.perf_counter() - start >= at_least:
            raise _Enough

    with suppress(_Enough):
        while True:
            session.trainer.train_epoch(session.table(0), Position(), pause)
    wait_for(session.device)
    return images, time.perf_counter() - start


def time_steps(step: Callable[[], object], at_least: float, device: torch.device) -> tuple[int, float]:
    """How often `step` was called, and the seconds that took: the first call that ends after `at_least`."""
    steps, start = 0, time.perf_counter()
    while steps == 0 or time.perf_counter() - start < at_least:
        step()
        steps += 1
    wait_for(device)
    return steps, time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    """Until everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
