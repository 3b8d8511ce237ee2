"""The progress of one run: what is reported, and how it is shown on the terminal. Imports no torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

RENEW_SECONDS = 0.5
PLAIN_SECONDS = 30.0


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    """Finished steps of the whole run."""
    total_steps: int
    epoch: int
    """The epoch of the last step, from 1."""
    images_per_second: float
    error: float | None
    """In percent, of the last evaluation; None before the first."""


Report = Callable[[Progress], None]
"""Called between steps."""


def no_report(progress: Progress) -> None:
    """Does nothing."""


def clock(seconds: float) -> str:
    """`1:02:03`, `2:03` or `3 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class ProgressLine:
    """A line that renews itself; where stderr is not a terminal, a plain line now and then.

    Give it to `run` as `report`; use as a context manager, so that the line is ended."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._every = RENEW_SECONDS if self._terminal else PLAIN_SECONDS
        self._last = time.monotonic()
        self._start: tuple[float, int] | None = None
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            sys.stderr.write("\n")

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._start is None:
            self._start = (now, progress.step)
        if now - self._last < self._every:
            return
        self._last = now
        text = self._text(progress, now)
        if self._terminal:
            sys.stderr.write(f"\r\033[K{text}")
            self._open = True
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _text(self, progress: Progress, now: float) -> str:
        assert self._start is not None
        since, first = self._start
        done = progress.step - first
        left = (now - since) / done * (progress.total_steps - progress.step) if done else None
        error = f", error {progress.error:.2f} %" if progress.error is not None else ""
        remaining = f", {clock(left)} left" if left is not None else ""
        return (
            f"epoch {progress.epoch}, step {progress.step}/{progress.total_steps}, "
            f"{progress.images_per_second:,.0f} images/s{error}{remaining}"
        )
