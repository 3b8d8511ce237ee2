"""What a sweep says at its end."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bnrepro.analysis.text import TextTable
    from bnrepro.sweep.plan import Plan
    from bnrepro.sweep.run import Outcome


def conclude(outcome: Outcome, plan: Plan, directory: Path) -> None:
    """How it went, the table of errors, and what to do next. Exit code 1 where a cell has no error."""
    from bnrepro.config.errors import one_line
    from bnrepro.rundir.result import failure
    from bnrepro.sweep.directory import CELLS

    counts = Counter(result["status"] for result in outcome.results.values())
    typer.echo(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    failed = outcome.with_status("failed")
    for cell in failed:
        message = failure(directory / CELLS / cell, outcome.results[cell]["message"])
        typer.echo(one_line(f"failed: {cell}: {message}"), err=True)
    for cell, where in outcome.elsewhere.items():
        typer.echo(f"not trained: {cell}: {where}", err=True)
    if outcome.timing is not None:
        typer.echo(outcome.timing.describe())
    for line in _errors(directory):
        typer.echo(line)
    typer.echo("Next:")
    for line in next_commands(directory, plan.base.tensorboard):
        typer.echo(line)
    if failed or outcome.elsewhere:
        raise typer.Exit(1)


def next_commands(directory: Path, tensorboard: bool) -> list[str]:
    """Lines to paste; the last one is for `scripts/reproduce.sh` too."""
    where = shlex.quote(str(directory))
    return [*([f"tensorboard --logdir {where}/tensorboard"] if tensorboard else []), f"bnrepro plot {where}"]


def _errors(directory: Path) -> Iterator[str]:
    """Norm × batch size: mean ± sd (number of seeds), in percent."""
    from bnrepro.analysis.results import load_results
    from bnrepro.analysis.text import error_grid
    from bnrepro.config.errors import UsageError

    try:
        results = load_results([directory])
    except UsageError:  # no cell has an error: what there is to say has been said
        return
    yield "test error (%), mean ± sd (seeds):"
    yield from _fitting(error_grid(results.summary, results.axis.column), _columns())


def _columns() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitting(table: TextTable, columns: int | None) -> Iterator[str]:
    """The table; in a narrow terminal one below the other, each with as many norms as there is room for."""
    from bnrepro.analysis.text import TextTable, plain

    first, end = 1, len(table.header)
    while first < len(table.header):
        part = TextTable(
            (table.header[0], *table.header[first:end]),
            tuple((row[0], *row[first:end]) for row in table.rows),
            left=0,
        )
        lines = plain(part)
        if columns is None or end == first + 1 or max(map(len, lines)) <= columns:
            yield from lines
            first, end = end, len(table.header)
        else:
            end -= 1
