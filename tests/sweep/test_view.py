"""A user would see half a name, or lines of a table that is not there any more."""

import io
import os
import re
import sys

import pytest

from bnrepro.sweep.pinned import Pinned
from bnrepro.sweep.plan import Axes, Cell, plan_sweep
from bnrepro.sweep.view import View
from bnrepro.training.progress import Progress, fitting

RESULT = {
    "norm": "evonorm_b0",
    "batch_size": 128,
    "seed": 0,
    "status": "completed",
    "error": {"running": 5.0},
}
RESULT |= {"images_per_second": 100.0, "wall_seconds": 5.0}


class Terminal(io.StringIO):
    """What was written to a terminal, and what it shows of it."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> list[str]:
        """Rows; of the control sequences those that are used: up a row and erase it."""
        rows: list[str] = []
        for part in re.split(r"(\r?\x1b\[1A\x1b\[2K)", self.getvalue()):
            if "\x1b" in part:
                rows.pop()
            else:
                rows += part.splitlines()
        return rows


def terminal_of(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int = 24) -> Terminal:
    """In the place of stderr."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    resize(monkeypatch, columns, lines)
    return stream


def resize(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int = 24) -> None:
    monkeypatch.setattr(Pinned, "size", lambda self: os.terminal_size((columns, lines)))


def cells(number: int = 2) -> tuple[Cell, ...]:
    axes = Axes(("evonorm_b0",), (128,), tuple(range(number)))
    return plan_sweep(["experiment=cifar10_quick"], axes, 10_240).cells


def progress(step: int) -> Progress:
    return Progress(step=step, total_steps=480, epoch=3, images_per_second=1234.5, error=12.34)


@pytest.mark.parametrize("columns", [44, 80, 120])
def test_names_are_whole_and_nothing_is_wider_than_the_terminal(columns, monkeypatch):
    terminal = terminal_of(monkeypatch, columns)
    one, two = cells()
    with View([[one], [two]], 0, 2) as view:
        view.started(one)
        view.progress(one, progress(240))
        view.started(two)
        view.refresh()
        rows = terminal.shown()
        assert rows[1].startswith("evonorm_b0-b128-s0  ")
        assert " 50%" in rows[1]
        assert rows[2].startswith("evonorm_b0-b128-s1  ")
        assert rows[3].startswith("0 of 2 cells done, estimating the time left")
        assert all(len(row) < columns for row in rows)
        if columns >= 80:
            assert rows[1].endswith("12.3 %      3     1,234")
    assert terminal.shown() == []


def test_what_is_finished_stays_above_the_table(monkeypatch):
    terminal = terminal_of(monkeypatch, 80)
    one, two = cells()
    with View([[one], [two]], 0, 1) as view:
        view.started(one)
        view.refresh()
        view.finished(one, RESULT)
        view.started(two)
        view.refresh()
        rows = terminal.shown()
        assert rows[0].startswith("✓ 1/2 evonorm_b0, batch size 128, seed 0: error 5.00 % (running)")
        assert rows[-1].startswith("1 of 2 cells done")
        assert len(rows) == 4
    assert len(terminal.shown()) == 1


def test_a_window_that_is_made_narrower_keeps_no_ghost(monkeypatch):
    """The terminal breaks a line of 60 into two of 40, which are both to be erased."""
    terminal = terminal_of(monkeypatch, 80)
    pinned = Pinned(terminal)
    pinned.show(["x" * 60, "y" * 30])
    resize(monkeypatch, 40)
    pinned.show([])
    assert terminal.getvalue().endswith("\r" + "\x1b[1A\x1b[2K" * 3)


def test_more_cells_than_lines_leave_the_last_lines(monkeypatch):
    terminal = terminal_of(monkeypatch, 80, lines=5)
    many = cells(9)
    with View([[cell] for cell in many], 0, 9) as view:
        for cell in many:
            view.started(cell)
        view.refresh()
        rows = terminal.shown()
        assert len(rows) == 4
        assert rows[-1].startswith("0 of 9 cells done")


def test_without_a_terminal_there_is_a_line_as_soon_as_a_step_is_taken(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    (one,) = cells(1)
    with View([[one]], 0, 1) as view:
        view.refresh()
        view.started(one)
        view.refresh()
        assert stream.getvalue() == ""
        view.progress(one, progress(48))
        view.refresh()
        view.refresh()
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("running: evonorm_b0-b128-s0 10%; 0 of 1 cell done")


def test_a_line_has_as_many_parts_as_fit():
    parts = ["epoch 3", "step 1/9", "5 s left"]
    assert fitting(parts, 100) == "epoch 3, step 1/9, 5 s left"
    assert fitting(parts, 18) == "epoch 3, step 1/9"
    assert fitting(parts, 3) == "epoch 3"
