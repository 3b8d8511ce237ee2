"""The command line. One file per command; torch, hydra, pandas and matplotlib only inside commands."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

import bnrepro
from bnrepro.cli import (
    bench,
    cancel,
    claims,
    data,
    diagnose,
    listing,
    plot,
    report,
    show_config,
    status,
    sweep,
    train,
)
from bnrepro.cli.ending import Program, run

RARELY = (50_000, 20, 20)
"""Of `gc.set_threshold`. Importing torch makes 280,000 objects that stay, matplotlib and pandas 170,000.
Python looks for cycles every 700, which is a fifth of `plot` and of a short run; training makes few."""

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
app.command("report")(report.report)
app.command("status")(status.status)
app.command("cancel")(cancel.cancel)
app.command("bench")(bench.bench)
app.command("claims")(claims.claims)
app.command("list")(listing.list_choices)
app.command("diagnose")(diagnose.diagnose)
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
    gc.set_threshold(*RARELY)
    _see_current_directory()
    code = run(app, sys.argv[1:])
    if "triton" not in sys.modules:  # whose bindings report what nobody freed
        gc.freeze()  # what is left ends with the process: not searched once more for cycles
    sys.exit(code)


def _see_current_directory() -> None:
    """A module of the user's own stands there, as it does for `python -m bnrepro`. Last: it hides nothing."""
    with suppress(FileNotFoundError):  # a directory that was removed
        here = str(Path.cwd())
        if not {"", here} & set(sys.path) and not sys.flags.safe_path:
            sys.path.append(here)
