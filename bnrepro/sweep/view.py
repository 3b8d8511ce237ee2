"""A sweep on the terminal: a row per running cell and the time left, or plain lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bnrepro.rundir.describe import describe
from bnrepro.sweep.cost import relative_cost
from bnrepro.sweep.plan import Cell
from bnrepro.training.progress import Progress, clock

PLAIN_SECONDS = 30.0
MARKS = {"completed": "✓", "diverged": "∞", "failed": "✗"}


class _Terminal(Console):
    """Where nobody reads any more, the sweep has to know."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class View:
    """Told what happens; shows it. Use as a context manager."""

    def __init__(
        self, todo: Sequence[Cell], done_before: int, jobs: int, console: Console | None = None
    ) -> None:
        self._console = console or _Terminal(stderr=True, highlight=False)
        self._costs = {cell.id: relative_cost(cell) for cell in todo}
        self._jobs = jobs
        self._done_before = done_before
        self._running: dict[str, Progress | None] = {}
        self._first_steps: dict[str, int] = {}
        self._finished: dict[str, str] = {}
        self._worked = 0.0
        self._unfinished = sum(self._costs.values())
        self._start = time.monotonic()
        self._last_line = self._start
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._terminal = self._console.is_terminal

    def __enter__(self) -> View:
        if self._terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            self._live.stop()

    def started(self, cell: Cell) -> None:
        self._running[cell.id] = None

    def progress(self, cell: Cell, progress: Progress) -> None:
        self._first_steps.setdefault(cell.id, progress.step)
        self._running[cell.id] = progress

    def finished(self, cell: Cell, result: dict[str, Any]) -> None:
        self._worked += self._costs[cell.id] * (1 - self._skipped_part(cell.id))
        self._running.pop(cell.id, None)
        self._finished[cell.id] = result["status"]
        self._unfinished -= self._costs[cell.id]
        count = f"{self._done_before + len(self._finished)}/{self._done_before + len(self._costs)}"
        self._console.print(
            f"{MARKS[result['status']]} {count} {describe(result, cell.at)}", markup=False, soft_wrap=True
        )

    def left_out(self, cell: Cell) -> None:
        """Another process is at work on it."""
        self._running.pop(cell.id, None)
        self._unfinished -= self._costs[cell.id]

    def _skipped_part(self, cell: str) -> float:
        """The part of a cell that an earlier call had done."""
        progress = self._running.get(cell)
        return self._first_steps.get(cell, 0) / progress.total_steps if progress else 0.0

    def refresh(self) -> None:
        """Draw again; plain lines only now and then."""
        now = time.monotonic()
        if self._terminal:
            self._live.update(Group(self._table(), self._footer()), refresh=True)
        elif now - self._last_line >= PLAIN_SECONDS:
            self._last_line = now
            rows = ", ".join(f"{cell} {self._part(cell):.0%}" for cell in self._running)
            self._console.print(f"running: {rows}; {self._footer()}", markup=False, soft_wrap=True)

    def _part(self, cell: str) -> float:
        progress = self._running.get(cell)
        return progress.step / progress.total_steps if progress else 0.0

    def seconds_left(self) -> float | None:
        """From the work done so far and the cells' relative costs."""
        elapsed = time.monotonic() - self._start
        under_way = sum(
            self._costs[cell] * (self._part(cell) - self._skipped_part(cell)) for cell in self._running
        )
        done = self._worked + under_way
        if done <= 0 or elapsed < 3:
            return None
        left = self._unfinished - sum(self._costs[cell] * self._part(cell) for cell in self._running)
        return elapsed * left / done

    def _footer(self) -> Text:
        total = self._done_before + len(self._costs)
        left = self.seconds_left()
        remaining = f"about {clock(left)} left" if left is not None else "estimating the time left"
        return Text(
            f"{self._done_before + len(self._finished)} of {total} cells done, {len(self._running)} running, "
            f"{remaining}"
        )

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, side in (("cell", "left"), ("progress", "left"), ("epoch", "right")):
            table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
        table.add_column("images/s", justify="right", no_wrap=True)
        table.add_column("error", justify="right", no_wrap=True)
        for cell, progress in self._running.items():
            bar = ProgressBar(total=1.0, completed=self._part(cell), width=24)
            if progress is None:
                table.add_row(cell, bar, "–", "–", "–")
                continue
            error = "–" if progress.error is None else f"{progress.error:.1f} %"
            table.add_row(cell, bar, str(progress.epoch), f"{progress.images_per_second:,.0f}", error)
        return table
