"""`bnrepro cancel`"""

from __future__ import annotations

import typer

from bnrepro.cli.arguments import SweepDirectory


def cancel(
    sweep_dir: SweepDirectory,
) -> None:
    """Cancel a sweep's own Slurm jobs. What is finished stays; the sweep's command submits the rest again.

    Example: bnrepro cancel results/runs/digits-fixed_sgd
    """
    from bnrepro.sweep.slurm.cancel import cancel_sweep

    cancelled = cancel_sweep(sweep_dir)
    for job, why in cancelled.left_alone.items():
        typer.echo(f"left alone: job {job} {why}; scancel {job} cancels it", err=True)
    jobs = ", ".join(cancelled.jobs)
    typer.echo(f"cancelled {jobs}" if jobs else "none of its jobs is queued or running")
