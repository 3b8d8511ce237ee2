"""Lines that stay at the bottom of a terminal while others pass above them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

ERASED_ROW = "\x1b[1A\x1b[2K"
"""The row above: row by row, since some terminals keep what is erased at once above their window."""


class Pinned:
    """On a stream that is not a terminal, lines pass and nothing is pinned."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown: list[str] = []
        self._is_full = False

    def size(self) -> os.terminal_size:
        """Columns and lines, now."""
        try:
            return os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return os.terminal_size((80, 24))

    def print(self, line: str) -> None:
        """A line that stays, above the pinned ones."""
        self._write(self._erased() + f"{line}\n" + _text(self._shown))

    def show(self, lines: Sequence[str]) -> None:
        """Pin these lines instead of the ones before, as many as the terminal has room for."""
        if not self.is_terminal:
            return
        erased = self._erased()
        self._shown = list(lines)[-(self.size().lines - 1) :]
        self._write(erased + _text(self._shown))

    def _erased(self) -> str:
        """What removes the pinned lines. In a window that was made narrower they have been broken in two."""
        if not self._shown:
            return ""
        columns = max(1, self.size().columns)
        rows = sum(max(1, -(-len(line) // columns)) for line in self._shown)
        return "\r" + ERASED_ROW * rows

    def _write(self, text: str) -> None:
        """A full disk behind `2> log` must not end what the lines tell of; a reader that left does."""
        if self._is_full:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            self._is_full = True


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
