"""The progress of one run: what is reported, and how it is shown on the terminal. Imports no torch."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from bnrepro.training.process.interrupt import StopFlag

RENEW_SECONDS = 0.5
PLAIN_SECONDS = 30.0
LONG_SECONDS = 1.5
"""Without a word."""


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


def fitting(parts: list[str], width: int) -> str:
    """The first of the parts that fit into `width` characters, with commas between; at least one."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 2 + len(part) <= width:
            text += f", {part}"
    return text


class Waiting:
    """Says what is waited for: at once on a terminal, where the line goes again; else if it takes long."""

    def __init__(self, what: str) -> None:
        self._terminal = sys.stderr.isatty()
        self._timer: threading.Timer | None = None
        if self._terminal:
            _try_to_write(f"\r\033[K{what} …")
        else:
            self._timer = threading.Timer(LONG_SECONDS, lambda: _try_to_write(f"{what}\n"))
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """It is there. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
        elif self._terminal:
            _try_to_write("\r\033[K")
        self._terminal = False


def _try_to_write(text: str) -> None:
    """Whoever does not read what is waited for sees what comes of it."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


class ProgressLine:
    """A line that renews itself; where stderr is not a terminal, a plain line now and then.

    Give it to `run` as `report`; use as a context manager, so that the line is ended.

    Where the reader of stderr leaves, the run is asked to stop, and `reader_left` says why. Other failures to
    write (a full disk behind `2> log`) must not end a run: it goes on without lines.
    """

    def __init__(self, stop: StopFlag) -> None:
        self._waiting: Waiting | None = None
        self.reader_left = False
        self.last: Progress | None = None
        """What was reported last."""
        self._stop = stop
        self._terminal = sys.stderr.isatty()
        self._every = RENEW_SECONDS if self._terminal else PLAIN_SECONDS
        self._shown = time.monotonic() - (0 if self._terminal else PLAIN_SECONDS - LONG_SECONDS)
        self._start: tuple[float, int] | None = None
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait_for(None)
        if self._open:
            self._write("\n")

    def wait_for(self, what: str | None) -> None:
        """Say what is waited for, until the next call or the first report; None: for nothing."""
        if self._waiting is not None:
            self._waiting.end()
        self._waiting = None if what is None else Waiting(what)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        self.last = progress
        if self._start is None:
            self._start = (now, progress.step)
            self.wait_for(None)
        if now - self._shown < self._every:
            return
        self._shown = now
        text = self._text(progress, now)
        self._write(f"\r\033[K{text}" if self._terminal else f"{text}\n")
        self._open = self._terminal

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except BrokenPipeError:
            self.reader_left = True
            self._stop.set()
        except OSError:
            self._every = float("inf")

    def _text(self, progress: Progress, now: float) -> str:
        """What fits on the terminal's line; the time left counts from the first step."""
        assert self._start is not None
        since, first = self._start
        done = progress.step - first
        parts = [f"epoch {progress.epoch}", f"step {progress.step}/{progress.total_steps}"]
        if done:
            left = (now - since) / done * (progress.total_steps - progress.step)
            parts.append(f"{clock(left)} left")
        if progress.error is not None:
            parts.append(f"error {progress.error:.2f} %")
        parts.append(f"{progress.images_per_second:,.0f} images/s")
        return fitting(parts, shutil.get_terminal_size().columns - 1 if self._terminal else 200)
