"""What may stand in a file of ours, field by field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged, shortened
from bnrepro.rundir.reading import parse_json

SHOWN = 40
"""Signs of a wrong value that a message quotes."""


@dataclass(frozen=True)
class Field:
    """What a value has to be: in words, and as a test that may assume nothing of it."""

    words: str
    fits: Callable[[Any], bool]
    optional: bool = False
    """Files of older versions may lack it."""


def whole(least: int = 0) -> Field:
    return Field(f"a whole number from {least}", lambda value: _is_int(value) and value >= least)


def number(least: float = 0.0) -> Field:
    """Finite."""
    return Field(f"a finite number from {least:g}", lambda value: _is_finite(value) and value >= least)


def finite() -> Field:
    return Field("a finite number", _is_finite)


def percent() -> Field:
    return Field("a percentage from 0 to 100", lambda value: _is_finite(value) and 0 <= value <= 100)


def text() -> Field:
    return Field("a text", lambda value: isinstance(value, str))


def name() -> Field:
    """Of a directory inside another one."""
    return Field(
        "a name without a slash",
        lambda value: isinstance(value, str) and value not in ("", ".", "..") and not set("/\0") & set(value),
    )


def matching(pattern: str, words: str) -> Field:
    return Field(words, lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)))


def truth() -> Field:
    return Field("true or false", lambda value: isinstance(value, bool))


def one_of(choices: Collection[Any]) -> Field:
    # a list is in no tuple of texts, and 1 == True
    return Field(
        f"one of {', '.join(map(str, choices))}",
        lambda value: any(type(value) is type(choice) and value == choice for choice in choices),
    )


def anything() -> Field:
    return Field("anything", lambda value: True)


def group() -> Field:
    return Field("a group of keys", lambda value: isinstance(value, dict))


def group_of(item: Field, keys: Collection[str] | None = None) -> Field:
    named = f" under {', '.join(keys)}" if keys is not None else ""
    return Field(
        f"a group of values{named}, each {item.words}",
        lambda value: (
            isinstance(value, dict)
            and (keys is None or set(value) <= set(keys))
            and all(map(item.fits, value.values()))
        ),
    )


def list_of(item: Field) -> Field:
    return Field(
        f"a list of values, each {item.words}",
        lambda value: isinstance(value, list) and all(map(item.fits, value)),
    )


def nullable(item: Field) -> Field:
    return Field(f"{item.words} or null", lambda value: value is None or item.fits(value))


def optional(item: Field) -> Field:
    return Field(item.words, item.fits, optional=True)


def check(path: Path, value: Any, fields: Mapping[str, Field], where: str = "") -> dict[str, Any]:
    """`value`, where it is an object with these fields; further ones may be there. Raises `Damaged`."""
    if not isinstance(value, dict):
        raise Damaged(f"{path}: {where}must be an object with keys, not {_shown(value)}")
    for key, field in fields.items():
        if key not in value:
            if field.optional:
                continue
            raise Damaged(f"{path}: {where}{key} is missing")
        if not field.fits(value[key]):
            raise Damaged(f"{path}: {where}{key} must be {field.words}, not {_shown(value[key])}")
    return value


def check_lines(path: Path, text: str, fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    """The objects in `text`, one per line, the content of `path`. Raises `Damaged` as `check` does.

    A last line without its end is left out: a kill cut it.
    """
    lines = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            value = parse_json(line)
        except ValueError as error:
            raise Damaged(f"{path}: line {number} is not JSON ({error})") from error
        lines.append(check(path, value, fields, where=f"line {number}: "))
    return lines


def _shown(value: Any) -> str:
    return shortened(repr(value), SHOWN)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64


def _is_finite(value: Any) -> bool:
    return (isinstance(value, float) and math.isfinite(value)) or _is_int(value)
