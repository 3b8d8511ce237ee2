"""A config as YAML that explains itself: each key with the comment of the file that it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

COLUMN = 26
"""Where comments begin, as in the files."""


def to_yaml(values: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """`values` in their order; `comments`: dotted key -> text."""
    return "".join(f"{line}\n" for line in _lines(values, comments, ""))


def _lines(values: Mapping[str, Any], comments: Mapping[str, str], path: str) -> Iterator[str]:
    indent = "  " * path.count(".")
    for key, value in values.items():
        comment = comments.get(f"{path}{key}", "")
        if isinstance(value, Mapping) and value:
            yield _commented(f"{indent}{key}:", comment)
            yield from _lines(value, comments, f"{path}{key}.")
        else:
            yield _commented(f"{indent}{key}: {_scalar(value)}", comment)


def _scalar(value: Any) -> str:
    """A scalar, or a list on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _commented(line: str, comment: str) -> str:
    return f"{line.ljust(COLUMN - 1)} # {comment}" if comment else line
