"""Stopping a run: a signal sets a flag, and training stops after the current chunk of steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bnrepro.data.waiting import StoppedWaiting, stoppable


class Interrupted(Exception):
    """The run was asked to stop. Its checkpoint is written; the same command continues."""


class StopFlag:
    """Set by a signal, read between chunks of steps."""

    def __init__(self) -> None:
        self.wanted = False

    def set(self, *_: object) -> None:
        self.wanted = True


@contextmanager
def stop_on_signals(*signals: signal.Signals) -> Iterator[StopFlag]:
    """A flag that the first of `signals` sets. A second signal has its usual effect at once."""
    flag = StopFlag()
    before = {number: signal.getsignal(number) for number in signals}

    def handle(number: int, frame: FrameType | None) -> None:
        flag.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in signals:
        signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_while_waiting(stop: StopFlag) -> Iterator[None]:
    """Stops also where the block waits for data that does not come. Raises `Interrupted`."""
    try:
        with stoppable(lambda: stop.wanted):
            yield
    except StoppedWaiting:
        raise Interrupted from None


@contextmanager
def interrupted_by(number: signal.Signals) -> Iterator[None]:
    """Let the signal `number` do what Ctrl-C does, so that a process manager's SIGTERM keeps as much."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)
