"""`bnrepro status`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bnrepro.sweep.status import CellStatus

COLOURS = {"completed": "green", "running": "cyan", "diverged": "yellow"}
COLOURS |= dict.fromkeys(("failed", "cancelled", "timed out", "lost"), "red")
COLUMNS = ("cell", "state", "steps", "epoch", "time left", "error", "message")
NUMBERS = ("steps", "epoch", "time left", "error")


def status(
    sweep_dir: Annotated[Path, typer.Argument(metavar="SWEEP_DIR", show_default=False)],
) -> None:
    """Each cell's state, progress and time left."""
    from collections import Counter

    from bnrepro.sweep.slurm.states import slurm_status
    from bnrepro.sweep.status import STATES

    cells, remark = slurm_status(sweep_dir)
    typer.echo("\n".join(_lines(cells)))
    counts = Counter(cell.state for cell in cells)
    typer.echo(", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))
    if remark:
        typer.echo(remark)


def _lines(cells: Sequence[CellStatus]) -> Iterator[str]:
    """The header and a line per cell. Laid out by hand: rich takes 10 s for a table of 10,000 rows."""
    rows = [COLUMNS, *map(_row, cells)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, cell in zip(rows, [None, *cells], strict=True):
        fields = [
            text.rjust(width) if name in NUMBERS else text.ljust(width)
            for name, text, width in zip(COLUMNS, row, widths, strict=True)
        ]
        if cell is None:
            yield typer.style("  ".join(fields).rstrip(), bold=True)
            continue
        fields[1] = typer.style(fields[1], fg=COLOURS.get(cell.state), dim=cell.state not in COLOURS)
        yield "  ".join(fields).rstrip()


def _row(cell: CellStatus) -> tuple[str, ...]:
    from bnrepro.training.watch import clock

    return (
        cell.id,
        cell.state,
        f"{cell.step}/{cell.total_steps}",
        str(cell.epoch or "–"),
        clock(cell.seconds_left) if cell.seconds_left is not None else "–",
        f"{cell.error['running']:.2f} %" if "running" in cell.error else "–",
        " ".join(cell.message.split()),
    )
