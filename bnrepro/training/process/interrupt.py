"""A wish to stop, which training grants after the chunk of steps under way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bnrepro.data.waiting import StoppedWaiting, stoppable


class Interrupted(Exception):
    """The run stopped on a wish; its checkpoint is written, and the same command continues."""


class StopFlag:
    """Set by a signal; read by the training loop."""

    def __init__(self) -> None:
        self.wanted = False

    def set(self, *_: object) -> None:
        self.wanted = True


@contextmanager
def stop_on_signals(*signals: signal.Signals) -> Iterator[StopFlag]:
    """A flag that the first of `signals` sets. A second one takes its usual effect at once."""
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
    """Grants the wish also where the block waits for data that does not come. Raises `Interrupted`."""
    try:
        with stoppable(lambda: stop.wanted):
            yield
    except StoppedWaiting:
        raise Interrupted from None


@contextmanager
def interrupted_by(number: signal.Signals) -> Iterator[None]:
    """Let `number` do what Ctrl-C does: a process manager's SIGTERM keeps as much as a user's hand."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)
