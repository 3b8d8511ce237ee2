"""The YAML files of `configs/`: which there are, and the comments that explain their keys. Without Hydra."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bnrepro.config.errors import UsageError
from bnrepro.config.paths import config_directory


def groups(config_dir: Path | None = None) -> set[str]:
    """The names of the config groups, ours and the user's."""
    return {path.name for root in _roots(config_dir) for path in root.iterdir() if path.is_dir()}


def choices(group: str, config_dir: Path | None = None) -> list[str]:
    """The choices of a config group, ours and the user's: its YAML files, but `_base` and the like.

    Raises `UsageError` where the group's folder may not be read: its choices would only seem not to be there.
    """
    found: set[str] = set()
    for root in _roots(config_dir):
        if (root / group).is_dir() and not os.access(root / group, os.R_OK | os.X_OK):
            raise UsageError(
                f"--config-dir {root}: its {group}/ cannot be read (Permission denied); allow it"
            )
        paths = (path.relative_to(root / group) for path in (root / group).rglob("*.yaml"))
        found |= {path.with_suffix("").as_posix() for path in paths if not path.name.startswith("_")}
    return sorted(found)


def find_file(group: str, name: str, config_dir: Path | None = None) -> Path | None:
    """The file of a choice, ours or the user's."""
    paths = (root / group / f"{name}.yaml" for root in _roots(config_dir))
    return next((path for path in paths if path.is_file()), None)


def about(group: str, name: str, config_dir: Path | None = None) -> str:
    """What a choice's file says of it in its first line, or behind `Paper:`."""
    path = find_file(group, name, config_dir)
    header = read_config_file(path).header if path is not None else ()
    return header[0].removeprefix("Paper:").strip() if header else ""


def _roots(config_dir: Path | None) -> list[Path]:
    return [config_directory(), *([config_dir] if config_dir else [])]


@dataclass(frozen=True)
class ConfigFile:
    """One YAML file, with those beside it that its `defaults` name."""

    header: tuple[str, ...]
    """The lines of the comment that it opens with; of this file alone."""
    values: dict[str, Any]
    comments: dict[str, str]
    """Dotted key -> the comment beside it, on one line."""


def read_config_file(path: Path) -> ConfigFile:
    """Raises `UsageError` for a file that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text) or {}
        comments = dict(_comments(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: must hold keys and values")
    for part in reversed(_beside(values.pop("defaults", None))):
        beside, ours = path.with_name(f"{part}.yaml"), config_directory() / path.parent.name / f"{part}.yaml"
        below = read_config_file(beside if beside.is_file() else ours)
        values, comments = below.values | values, below.comments | comments
    return ConfigFile(tuple(_header(text)), values, comments)


def _beside(defaults: Any) -> list[str]:
    """The files of the same folder, or group, in a defaults list."""
    names = [name for name in defaults if isinstance(name, str)] if isinstance(defaults, list) else []
    return [name for name in names if name != "_self_"]


def _header(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith("# @package"):
            yield line[1:].strip()


def _comments(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()

    def visit(node: yaml.Node | None, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            if comment := _comment(lines, key, value):
                yield f"{path}{key.value}", comment
            yield from visit(value, f"{path}{key.value}.")

    yield from visit(yaml.compose(text, Loader=yaml.SafeLoader), "")


def _comment(lines: list[str], key: yaml.Node, value: yaml.Node) -> str:
    """What stands behind a key's value and on the lines below it, further in; else on those above it."""
    is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    end = key.end_mark if is_block else value.end_mark
    behind = lines[end.line][end.column + is_block :].strip()
    parts = [behind] if behind.startswith("#") else []
    for line in lines[end.line + 1 :] if parts else []:
        if not line.startswith(" " * (key.start_mark.column + 1) + " ") or not line.lstrip().startswith("#"):
            break
        parts.append(line)
    if not parts:
        parts = _above(lines, key)
    return " ".join(part.strip().lstrip("#").strip() for part in parts)


def _above(lines: list[str], key: yaml.Node) -> list[str]:
    """The comment lines right above a key, but the file's header is nobody's."""
    first, sign = key.start_mark.line, " " * key.start_mark.column + "#"
    while first and lines[first - 1].startswith(sign):
        first -= 1
    return lines[first : key.start_mark.line] if first else []
