"""The command line. One file per command; torch, hydra, pandas and matplotlib only inside commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import bnrepro
from bnrepro.cli import bench, cancel, data, listing, plot, show_config, status, sweep, train
from bnrepro.cli.ending import Program, run

app = typer.Typer(
    name="bnrepro",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See, prove and cure what small batches do to batch normalization.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.add_typer(sweep.app, name="sweep")
app.add_typer(data.app, name="data")
app.command("plot")(plot.plot)
app.command("status")(status.status)
app.command("cancel")(cancel.cancel)
app.command("bench")(bench.bench)
app.command("list")(listing.list_choices)
app.command("show-config")(show_config.show_config)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bnrepro {bnrepro.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """See, prove and cure what small batches do to batch normalization."""


def main() -> None:
    """Run the program. Exit codes: 0 done, 1 a run failed, 2 the user can fix it (one line says how), 130
    Ctrl-C, 141 the reader of its output left.
    """
    sys.exit(run(app, sys.argv[1:]))
