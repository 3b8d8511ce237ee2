"""Reading: a file of ours is not believed because it is there, nor because it parses.

Only regular files are opened, up to a size that their kind never reaches, and whatever is wrong with one is a
`Damaged`: a line with its path. `schema.py` checks what is inside.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from bnrepro.config.errors import Damaged

MIB = 2**20


@contextmanager
def open_regular(path: Path) -> Iterator[IO[bytes]]:
    """The file, open for reading; a link is followed to one.

    Raises FileNotFoundError where nothing is there, `Damaged` for a pipe, a device, a directory and for what
    cannot be read.
    """
    try:
        # O_NONBLOCK: a pipe that nobody writes to would wait for ever
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{path}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise Damaged(f"{path}: is not a regular file")
    with os.fdopen(number, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise Damaged(f"{path}: cannot be read ({error.strerror or error})") from error


def read_text(path: Path, most_bytes: int) -> str:
    """The whole file. Raises FileNotFoundError, and `Damaged`."""
    with open_regular(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise Damaged(f"{path}: is larger than {most_bytes:,} bytes, which no such file of ours is")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Damaged(f"{path}: is not UTF-8 (byte {error.start}: {data[error.start]:#04x})") from error


def read_json(path: Path, most_bytes: int) -> Any:
    """Raises FileNotFoundError, and `Damaged`."""
    text = read_text(path, most_bytes)
    try:
        return parse_json(text)
    except ValueError as error:
        raise Damaged(f"{path}: is not JSON ({error})") from error


def parse_json(text: str) -> Any:
    """JSON as its standard has it. Raises ValueError, also for NaN, Infinity and endless nesting."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number in JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class _Plain(yaml.SafeLoader):
    """Without aliases, which we never write: a few lines of them unfold to more than any memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("has an alias (*name), which bnrepro never writes")
        return super().compose_node(parent, index)


def read_yaml(path: Path, most_bytes: int) -> Any:
    """Raises FileNotFoundError, and `Damaged`."""
    text = read_text(path, most_bytes)
    try:
        return yaml.load(text, _Plain)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise Damaged(f"{path}: is not YAML as we write it ({why})") from error
