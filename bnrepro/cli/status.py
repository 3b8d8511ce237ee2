"""`bnrepro status`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bnrepro.sweep.status import CellStatus

COLOURS = {"completed": "green", "running": "cyan", "diverged": "yellow"}
COLOURS |= dict.fromkeys(("failed", "cancelled", "timed out", "lost"), "red")


def status(
    sweep_dir: Annotated[Path, typer.Argument(metavar="SWEEP_DIR", show_default=False)],
) -> None:
    """Each cell's state, progress and time left."""
    from collections import Counter

    from rich.console import Console

    from bnrepro.sweep.slurm.states import slurm_status
    from bnrepro.sweep.status import STATES

    cells, remark = slurm_status(sweep_dir)
    console = Console(highlight=False)
    console.print(_table(cells))
    counts = Counter(cell.state for cell in cells)
    console.print(", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))
    if remark:
        console.print(remark, markup=False, soft_wrap=True)


def _table(cells: list[CellStatus]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from bnrepro.training.watch import clock

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("cell", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("steps", "epoch", "time left", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("message", overflow="fold")
    for cell in cells:
        colour = COLOURS.get(cell.state, "dim")
        table.add_row(
            cell.id,
            f"[{colour}]{cell.state}[/]",
            f"{cell.step}/{cell.total_steps}",
            str(cell.epoch or "–"),
            clock(cell.seconds_left) if cell.seconds_left is not None else "–",
            f"{cell.error['running']:.2f} %" if "running" in cell.error else "–",
            escape(cell.message),
        )
    return table
