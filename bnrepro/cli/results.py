"""What a sweep ends with on the terminal."""

from __future__ import annotations

from pathlib import Path

import typer


def echo_results(sweep_dir: Path) -> None:
    """Print the errors of a sweep: a row per batch size, a column per norm, mean ± sd (seeds)."""
    from bnrepro.analysis.results import load_results
    from bnrepro.analysis.text import error_grid, plain

    typer.echo("error in %, mean ± standard deviation (seeds):")
    results = load_results([sweep_dir])
    for line in plain(error_grid(results.summary, results.axis.column)):
        typer.echo(line)
