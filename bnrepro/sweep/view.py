"""A sweep on the terminal: a row per running cell and the time left, or plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bnrepro.rundir.describe import counted, describe
from bnrepro.sweep.pinned import Pinned
from bnrepro.sweep.plan import Cell
from bnrepro.sweep.time_left import TimeLeft
from bnrepro.training.progress import Progress, clock, fitting

PLAIN_SECONDS = 30.0
ESTIMATE_SECONDS = 1.0
MARKS = {"completed": "✓", "diverged": "∞", "failed": "✗"}
LONGEST_BAR, SHORTEST_BAR = 24, 6


class View:
    """Told what happens; shows it. Use as a context manager."""

    def __init__(self, groups: Sequence[Sequence[Cell]], done_before: int, jobs: int) -> None:
        self._terminal = Pinned(sys.stderr)
        self._time_left = TimeLeft(groups, jobs)
        self._all = done_before + sum(map(len, groups))
        self._done = done_before
        self._running: dict[str, Progress | None] = {}
        self._last_line: float | None = None
        self._estimate: tuple[float, float | None] = (float("-inf"), None)

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        self._terminal.show([])

    def started(self, cell: Cell) -> None:
        self._running.setdefault(cell.id, None)
        self._time_left.started(cell, time.monotonic())

    def progress(self, cell: Cell, progress: Progress) -> None:
        self._running[cell.id] = progress
        self._time_left.progress(cell, progress.step / progress.total_steps, time.monotonic())

    def finished(self, cell: Cell, result: dict[str, Any]) -> None:
        self._running.pop(cell.id, None)
        self._time_left.finished(cell, time.monotonic())
        self._estimate = (float("-inf"), None)
        self._done += 1
        self._terminal.print(
            f"{MARKS[result['status']]} {self._done}/{self._all} {describe(result, cell.at)}"
        )

    def left_out(self, cell: Cell) -> None:
        """Another process is at work on it."""
        self._running.pop(cell.id, None)
        self._time_left.left_out(cell)

    def refresh(self) -> None:
        """Draw again; plain lines as soon as there is something to say, and then now and then."""
        if self._terminal.is_terminal:
            columns = self._terminal.size().columns - 1
            self._terminal.show([*self._table(columns), self._footer(columns)])
        elif self._plain_line_due():
            rows = ", ".join(f"{cell} {_part(progress):.0%}" for cell, progress in self._running.items())
            self._terminal.print(f"running: {rows}; {self._footer(200)}")

    def _plain_line_due(self) -> bool:
        now = time.monotonic()
        first = self._last_line is None and any(self._running.values())
        if first or (self._last_line is not None and now - self._last_line >= PLAIN_SECONDS):
            self._last_line = now
            return True
        return False

    def seconds_left(self) -> float | None:
        """From what the cells have taken so far; None: too early to say."""
        now = time.monotonic()
        if now - self._estimate[0] >= ESTIMATE_SECONDS:
            self._estimate = (now, self._time_left.seconds(now))
        return self._estimate[1]

    def _footer(self, columns: int) -> str:
        left = self.seconds_left()
        remaining = f"about {clock(left)} left" if left is not None else "estimating the time left"
        done = f"{self._done} of {counted(self._all, 'cell')} done"
        return fitting([done, remaining, f"{len(self._running)} running"], columns)

    def _table(self, columns: int) -> Iterator[str]:
        """A row per cell, names whole; in a narrow window without the less important columns."""
        rows = [_row(cell, progress) for cell, progress in self._running.items()]
        if not rows:
            yield "starting the workers"
            return
        header = ("cell", "", "error", "epoch", "images/s")
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        kept = _kept(widths, columns)
        bar = min(LONGEST_BAR, columns - sum(widths[i] + 2 for i in kept))
        for cells in (header, *rows):
            first, *rest = (cells[i].rjust(widths[i]) if i else cells[i].ljust(widths[i]) for i in kept)
            drawn = [_bar(cells[1], bar)] if bar >= SHORTEST_BAR else []
            yield "  ".join([first, *drawn, *rest]).rstrip()


def _row(cell: str, progress: Progress | None) -> tuple[str, ...]:
    if progress is None:
        return (cell, "starting", "–", "–", "–")
    error = "–" if progress.error is None else f"{progress.error:.1f} %"
    speed = f"{progress.images_per_second:,.0f}"
    return (cell, f"{_part(progress):.0%}", error, str(progress.epoch), speed)


def _kept(widths: Sequence[int], columns: int) -> list[int]:
    """The columns that there is room for, from the most important; the name in any case."""
    kept, used = [0], widths[0]
    for i in range(1, len(widths)):
        if used + 2 + widths[i] <= columns:
            kept.append(i)
            used += 2 + widths[i]
    return kept


def _part(progress: Progress | None) -> float:
    return progress.step / progress.total_steps if progress else 0.0


def _bar(percent: str, width: int) -> str:
    """`━━━╌╌╌` for `50%`; nothing for a header."""
    if not percent.endswith("%"):
        return " " * width
    full = round(width * int(percent[:-1]) / 100)
    return "━" * full + "╌" * (width - full)
