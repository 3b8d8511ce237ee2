"""Arguments and options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli import completion
from bnrepro.config.errors import UsageError, shown
from bnrepro.config.validate import impossible_path


def output_directory(text: str) -> Path:
    """Where something is to be written; made when it is needed. Typer names the option in the error."""
    if not text:
        raise typer.BadParameter("must name a directory")
    if reason := impossible_path(text):
        raise typer.BadParameter(reason)
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise typer.BadParameter("is a file; choose another name, or a directory")
    return path


def output_file(text: str) -> Path:
    """A file that is to be written; its directory is made when it is needed."""
    if not text or text.endswith("/"):
        raise typer.BadParameter("must name a file")
    if reason := impossible_path(text):
        raise typer.BadParameter(reason)
    path = Path(text)
    if path.is_dir():
        raise typer.BadParameter("is a directory; name a file in it")
    return path


def existing_directory(text: str) -> Path:
    """What `sweep` or `train` wrote."""
    if not text or impossible_path(text) or not Path(text).is_dir():
        raise typer.BadParameter(f"{shown(text or repr(''))}: is not a directory; give what --out named")
    return Path(text)


SweepDirectory = Annotated[
    Path, typer.Argument(parser=existing_directory, metavar="SWEEP_DIR", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="OVERRIDES",
        autocompletion=completion.overrides,
        help="Hydra's: experiment=cifar10 norm=gn batch_size=4 optimizer.base_lr=0.05",
    ),
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        "--config-dir", metavar="DIR", help="A folder with config groups of your own (norm/ data/ …)."
    ),
]


def texts(value: str | None) -> tuple[str, ...] | None:
    """`bn, gn` as a tuple."""
    return tuple(item.strip() for item in value.split(",") if item.strip()) if value is not None else None


def numbers(option: str, value: str | None) -> tuple[int, ...] | None:
    """`1,2,4` as a tuple. Raises `UsageError` for what is no whole number."""
    items = texts(value)
    if items is None:
        return None
    try:
        return tuple(int(item) for item in items)
    except ValueError:
        raise UsageError(f"{option} {value}: must be whole numbers with commas between, as 1,2,4") from None


def any_numbers(option: str, value: str) -> tuple[int | float, ...]:
    """`1,0.5,1e3` as a tuple, whole numbers as int. Raises `UsageError` for what is not a finite number."""
    try:
        found = [float(item) for item in texts(value) or ()]
        return tuple(int(number) if number.is_integer() else number for number in map(_finite, found))
    except ValueError:
        raise UsageError(f"{option} {value}: must be numbers with commas between, as 0.1,0.2,1e-3") from None


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number
