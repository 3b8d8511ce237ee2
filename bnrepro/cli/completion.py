"""What a shell offers after TAB, from the YAML files' names: without PyTorch and Hydra."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import typer

Completer = Callable[[typer.Context, str], list[tuple[str, str]]]


def overrides(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The choices of a group behind `norm=`."""
    from bnrepro.config.files import about, choices, groups

    group, typed, before = _split(incomplete)
    folder = _config_dir(ctx)
    if group not in groups(folder):
        return []
    return [
        (f"{before}{name}", about(group, name, folder))
        for name in choices(group, folder)
        if name.startswith(typed)
    ]


def _split(incomplete: str) -> tuple[str, str, str]:
    """Group, what is typed of the choice, and what the shell wants to have repeated in front of it.

    bash takes `norm=g` for three words, and wants the last one.
    """
    if "=" in incomplete:
        group, _, typed = incomplete.partition("=")
        return group, typed, f"{group}="
    words = os.environ.get("COMP_WORDS", "").split("\n")
    word = int(os.environ.get("COMP_CWORD", "0"))
    here = words[word] if word < len(words) else ""
    if here == "=" and word >= 1:
        return words[word - 1], "", ""
    if word >= 2 and words[word - 1] == "=":
        return words[word - 2], here, ""
    return "", "", ""


def _config_dir(ctx: typer.Context) -> Path | None:
    folder = ctx.params.get("config_dir")
    return Path(folder) if folder and Path(folder).is_dir() else None


def choices_of(group: str) -> Completer:
    """Completes an option with the choices of a config group; several, with commas between."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from bnrepro.config.files import about, choices

        folder = _config_dir(ctx)
        return list(_in_list(((n, about(group, n, folder)) for n in choices(group, folder)), incomplete))

    return complete


def words(*choices: str) -> Completer:
    """Completes an option with fixed words; several, with commas between."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        return list(_in_list(((choice, "") for choice in choices), incomplete))

    return complete


def references(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Completes with the published points that there are."""
    from bnrepro.analysis.reference import REFERENCES

    names = [*((name, reference.label) for name, reference in REFERENCES.items()), ("none", "")]
    return [(name, label) for name, label in names if name.startswith(incomplete)]


def _in_list(choices: Iterable[tuple[str, str]], incomplete: str) -> Iterator[tuple[str, str]]:
    """Behind the last comma, what is not in front of it."""
    before, comma, typed = incomplete.rpartition(",")
    for name, text in choices:
        if name.startswith(typed) and name not in before.split(","):
            yield f"{before}{comma}{name}", text
