"""Waiting for images that may never come, as from a network disk that hangs, and still ending on a wish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 3.0
"""A batch that comes soon is still trained on, so that the run stops between steps, with a checkpoint."""


class StoppedWaiting(Exception):
    """A stop was asked for, and what was waited for did not come."""


_stop_wanted: ContextVar[Callable[[], bool]] = ContextVar("stop_wanted", default=lambda: False)


@contextmanager
def stoppable(wanted: Callable[[], bool]) -> Iterator[None]:
    """In the block, who waits for data asks `wanted` now and then."""
    token = _stop_wanted.set(wanted)
    try:
        yield
    finally:
        _stop_wanted.reset(token)


def wait_for(ready: Callable[[float], bool]) -> None:
    """Return once `ready(seconds)` is true; it waits for so long itself. Raises `StoppedWaiting`."""
    since: float | None = None
    while not ready(POLL_SECONDS):
        if _stop_wanted.get()():
            since = time.monotonic() if since is None else since
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise StoppedWaiting
