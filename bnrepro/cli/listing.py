"""`bnrepro list`: what can be chosen, each in a line of its own file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bnrepro.cli.arguments import ConfigDir
from bnrepro.cli.completion import words
from bnrepro.config.architectures import ARCHITECTURES
from bnrepro.config.errors import UsageError, shown

GROUPS = {"norms": "norm", "models": "model", "data": "data", "experiments": "experiment"}
KINDS = (*GROUPS, "references")


def list_choices(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", autocompletion=words(*KINDS), help=f"{', '.join(KINDS)}.", show_default=False
        ),
    ],
    config_dir: ConfigDir = None,
) -> None:
    """List what there is to choose from, each in a line.

    Example: bnrepro list norms
    """
    if kind not in KINDS:
        raise UsageError(f"list {shown(kind)}: choices: {', '.join(KINDS)}")
    rows = list(_references() if kind == "references" else _choices(GROUPS[kind], config_dir))
    width = max(len(name) for name, _ in rows)
    room = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else None
    for name, text in rows:
        line = f"{name:{width}}  {text}".rstrip()
        typer.echo(line if room is None or len(line) <= room else f"{line[: room - 1]}…")


def _choices(group: str, config_dir: Path | None) -> Iterator[tuple[str, str]]:
    from bnrepro.config.files import about, choices

    for name in choices(group, config_dir):
        yield name, about(group, name, config_dir)
        if (group, name) == ("model", "torchvision"):
            yield from ((name, f"model.arch={arch}") for arch in ARCHITECTURES)


def _references() -> Iterator[tuple[str, str]]:
    from bnrepro.analysis.reference import REFERENCES

    for name, reference in REFERENCES.items():
        yield name, f"{reference.label} ({reference.source})"
