"""`bnrepro cancel`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def cancel(
    sweep_dir: Annotated[Path, typer.Argument(metavar="SWEEP_DIR", show_default=False)],
) -> None:
    """Cancel a sweep's own Slurm jobs. What is finished stays; the sweep's command submits the rest again."""
    from bnrepro.sweep.slurm.cancel import cancel_sweep

    cancelled = cancel_sweep(sweep_dir)
    typer.echo(f"cancelled {', '.join(cancelled)}" if cancelled else "none of its jobs is queued or running")
