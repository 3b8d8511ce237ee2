"""Tables of any length on the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence

import typer


def columns(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str],
    colours: Sequence[str] = (),
    less: Sequence[str] = (),
) -> Iterator[str]:
    """The header and a line per row, for `typer.echo`. `right`: the columns that are set to the right.

    `colours`: one per row, for its second column. `less`: what a terminal that is too narrow leaves out, the
    least important first. Laid out by hand: rich takes 10 s for 10,000 rows.
    """
    header, rows = _fitting(header, rows, right, less)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def fields(row: Sequence[str]) -> list[str]:
        return [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(header, row, widths, strict=True)
        ]

    yield typer.style("  ".join(fields(header)).rstrip(), bold=True)
    for i, row in enumerate(rows):
        line = fields(row)
        if colours:
            line[1] = typer.style(line[1], fg=colours[i])
        yield "  ".join(line).rstrip()


def _fitting(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str], less: Sequence[str]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    widths = dict(
        zip(header, (max(map(len, column)) for column in zip(header, *rows, strict=True)), strict=True)
    )
    if header[-1] not in right:
        widths[header[-1]] = 0  # a text at the end may run on
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for name in less:
        if room is None or sum(widths.values()) + 2 * (len(widths) - 1) <= room:
            break
        widths.pop(name, None)
    kept = [i for i, name in enumerate(header) if name in widths]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
