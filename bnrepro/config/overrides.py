"""What a user types, read by Hydra's grammar: choices of groups, and changes of keys.

Hydra itself only composes choices that exist (`compose.py`). The changes are applied here: its own
application raises dozens of exceptions of four libraries, some after a minute.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from bnrepro.config.convert import unknown_key
from bnrepro.config.errors import UsageError, shortened, shown

LONGEST = 10_000
"""Characters; the longest path of Linux has 4,096."""


@dataclass(frozen=True)
class Choice:
    """`norm=gn`"""

    group: str
    name: str | None
    """None: `experiment=null`."""


@dataclass(frozen=True)
class Change:
    """`optimizer.base_lr=0.1`"""

    path: str
    value: Any
    sign: str = ""
    """`+` and `++`: the key may be new; `~`: it is removed."""


def quoted(text: str) -> str:
    """A text in Hydra's grammar, whatever signs it has."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def parse(text: str, groups: Collection[str]) -> Choice | Change:
    """One override. Raises `UsageError` for what Hydra's grammar does not have, and for interpolations."""
    name = shortened(text, 80)
    if len(text) > LONGEST:
        raise UsageError(f"{name}: has {len(text):,} characters; at most {LONGEST:,}")
    if any(0xD800 <= ord(sign) <= 0xDFFF for sign in text):
        raise UsageError(f"{name}: is not valid UTF-8")
    read: Choice | Change | None
    try:
        override = OverridesParser.create().parse_rule(text, "override")
        read = _read(override, name, groups)
    except UsageError:
        raise
    except Exception as error:  # Hydra's, antlr's, and Python's own for numbers of 5,000 digits
        read = _plain_text(text)
        if isinstance(read, Change) and read.path in groups and _is_file_name(read.value) and not read.sign:
            read = Choice(read.path, read.value)
        elif not isinstance(read, Change) or read.path in groups:
            raise UsageError(
                f"{name}: is not an override; write key=value (quote a text with signs: key='a, b')"
            ) from error
    if _holds_interpolation(read):
        raise UsageError(f"{name}: an override cannot hold ${{…}}; write the value itself")
    return read


def _read(override: Override, name: str, groups: Collection[str]) -> Choice | Change:
    key = override.key_or_group
    sign = "~" if override.is_delete() else "++" if override.is_force_add() else "+" * override.is_add()
    if not key:
        raise ValueError("no key")
    if override.package is not None or "/" in key:
        raise UsageError(f"{name}: groups have neither @ nor / here; choices: {', '.join(sorted(groups))}")
    if override.is_sweep_override():
        raise UsageError(f"{name}: is several values; quote a text with commas: {key}='a, b'")
    value = override.value()
    if key not in groups or isinstance(value, dict):
        return Change(key, value, sign)
    if sign:
        raise UsageError(f"{name}: every group has one choice; write {key}=NAME")
    if isinstance(value, list):
        raise UsageError(f"{name}: a group has one choice; write {key}=NAME")
    return Choice(key, value if value is None else _text(override, value))


def _text(override: Override, value: Any) -> str:
    """A choice as it was typed: a file called 2024 or true is one too."""
    return value if isinstance(value, str) else str(override.input_line).partition("=")[2].strip()


def _plain_text(override: str) -> Change | None:
    """A value that Hydra's grammar does not take bare, as a path with `ü` or `(`."""
    match = re.fullmatch(r"([+]{0,2})([\w.-]+)=(.+)", override, re.DOTALL)
    if match is None or match.group(3)[0] in "'\"[{":
        return None
    if re.fullmatch(r"[+-]?\d+", match.group(3)):  # Python refuses to read it
        raise UsageError(f"{match.group(2)}: a number of {len(match.group(3)):,} digits")
    return Change(match.group(2), match.group(3), match.group(1))


def _is_file_name(value: str) -> bool:
    """A choice in letters that Hydra's grammar does not have: `规范`."""
    return re.fullmatch(r"[\w.-]+", value) is not None


def _holds_interpolation(read: Choice | Change) -> bool:
    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return "${" in value
        if isinstance(value, Mapping):
            return any(holds(item) for pair in value.items() for item in pair)
        return isinstance(value, list) and any(map(holds, value))

    return holds(read.name if isinstance(read, Choice) else read.value)


def apply(values: dict[str, Any], changes: Sequence[Change]) -> None:
    """Change `values` in place, in order. Raises `UsageError` for a key that is not there."""
    for change in changes:
        *parents, key = change.path.split(".")
        node: Any = values
        for depth, parent in enumerate(parents, 1):
            if change.sign.startswith("+") and isinstance(node, dict):
                node.setdefault(parent, {})  # the schema refuses what it does not know
            node = _below(node, parent, ".".join(parents[:depth]), change.path)
        _apply(node, key, change)


def _below(node: dict[str, Any], key: str, path: str, asked: str) -> dict[str, Any]:
    if key not in node:
        raise UsageError(unknown_key(path, key, node))
    if node[key] is None:
        rest = asked.removeprefix(f"{path}.")
        raise UsageError(f"{asked}: no such key; give {path} as a whole, as {path}={{{rest}: …}}")
    if not isinstance(node[key], dict):
        raise UsageError(f"{asked}: no such key; {path} is {shown(node[key])}")
    return node[key]


def _apply(node: dict[str, Any], key: str, change: Change) -> None:
    if key not in node and not change.sign.startswith("+"):
        raise UsageError(unknown_key(change.path, key, node))
    if change.sign == "~":
        del node[key]
    elif isinstance(change.value, dict) and isinstance(node.get(key), dict):
        _merge(node[key], change.value)
    else:
        node[key] = change.value


def _merge(node: dict[str, Any], values: Mapping[Any, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(node.get(key), dict):
            _merge(node[key], value)
        else:
            node[key] = value
