"""Writing: a file is there whole, or as it was before.

Everything goes into a fresh file beside its target, under a name that nobody can foresee, and is then
renamed: no link is followed, neither under the target's name nor under the fresh one's.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bnrepro.config.errors import StorageError

UNFINISHED = ".bnrepro-*.tmp"
"""What a killed process leaves of a file that it was writing."""


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turns what the file system refuses in the block into a `StorageError` that names `path`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(path, error) from error


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a fresh file beside `path`, then put it in its place. Raises `StorageError`."""
    fresh = path.with_name(UNFINISHED.replace("*", secrets.token_hex(8)))
    with storing(path):
        try:
            with create(fresh) as file:
                write(file)
            fresh.replace(path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise


def create(path: Path) -> IO[bytes]:
    """A file that was not there before, open for writing; its rights are the umask's."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), "wb")


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file: all of it or nothing. Raises `StorageError`."""
    with storing(path):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            before = os.fstat(file).st_size
            try:
                written = os.write(file, data)
                while written < len(data):
                    written += os.write(file, data[written:])
            except OSError:
                os.ftruncate(file, before)
                raise
        finally:
            os.close(file)


def make_directory(path: Path) -> None:
    """Create a directory with its parents. Raises `StorageError`."""
    with storing(path):
        path.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Delete a file, if it is there. Raises `StorageError`."""
    with storing(path):
        path.unlink(missing_ok=True)


def clear_unfinished(directory: Path) -> None:
    """Remove what killed processes left there; only for who has the directory's lock."""
    for path in directory.glob(UNFINISHED):
        remove(path)


def write_bytes(path: Path, data: bytes) -> None:
    replace_file(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """In UTF-8; what that cannot carry is escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Raises ValueError for a NaN or an infinity, which JSON does not have and other readers refuse."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_lines(values: Iterable[Any]) -> str:
    """One line of JSON for each. Raises as `write_json` does."""
    return "".join(json.dumps(value, allow_nan=False) + "\n" for value in values)
