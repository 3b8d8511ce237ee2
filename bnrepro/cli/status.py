"""`bnrepro status`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bnrepro.cli.arguments import SweepDirectory
from bnrepro.cli.columns import columns

if TYPE_CHECKING:
    from bnrepro.sweep.status import CellStatus

COLOURS = {"completed": "green", "running": "cyan", "diverged": "yellow"}
COLOURS |= dict.fromkeys(("failed", "damaged", "cancelled", "timed out", "lost"), "red")
COLUMNS = ("cell", "state", "steps", "epoch", "time left", "error", "message")
LESS_IMPORTANT = ("steps", "message", "epoch", "time left")
"""What a narrow terminal leaves out, in this order."""
NUMBERS = ("steps", "epoch", "time left", "error")


def status(
    sweep_dir: SweepDirectory,
) -> None:
    """Each cell's state, progress and time left.

    Example: bnrepro status results/runs/digits-fixed_sgd
    """
    from collections import Counter

    from bnrepro.sweep.slurm.states import slurm_status
    from bnrepro.sweep.status import STATES

    cells, remark = slurm_status(sweep_dir)
    colours = [COLOURS.get(cell.state, "bright_black") for cell in cells]
    typer.echo("\n".join(columns(COLUMNS, [_row(cell) for cell in cells], NUMBERS, colours, LESS_IMPORTANT)))
    counts = Counter(cell.state for cell in cells)
    typer.echo(", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))
    if remark:
        typer.echo(remark)
    if counts["damaged"]:
        raise typer.Exit(1)


def _row(cell: CellStatus) -> tuple[str, ...]:
    from bnrepro.config.errors import one_line
    from bnrepro.training.progress import clock

    return (
        one_line(cell.id),
        cell.state,
        f"{cell.step}/{cell.total_steps}",
        str(cell.epoch or "–"),
        clock(cell.seconds_left) if cell.seconds_left is not None else "–",
        f"{cell.error['running']:.2f} %" if "running" in cell.error else "–",
        one_line(cell.message),
    )
