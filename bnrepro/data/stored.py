"""Folders of files that a process made and others use: there whole or not at all, and not believed unread.

`meta.json` holds the contents that its maker describes and a checksum of every file, itself included. A
folder is built under another name and renamed, and never changed after that.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

META = "meta.json"
MOST_META_BYTES = 2**28
"""Of a `meta.json`: it may name every file of a set."""
CHUNK_BYTES = 2**20

T = TypeVar("T")
States = dict[str, list[int]]
"""Of each file: size, times of content and of anything, inode. What changes with whoever writes to it."""


class Unfit(Exception):
    """A stored folder that cannot be used; its text says why."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`: of several processes that start at once, one works and the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system lets it go also when the process is killed
        yield
    finally:
        os.close(file)


def build(folder: Path, write: Callable[[Path], dict[str, Any]]) -> None:
    """Let `write` fill an empty folder with files and return what they are; then put it in its place.

    For who holds the lock.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    _remove(partial)  # of a process that was killed: the lock is ours
    partial.mkdir()
    try:
        body = {"contents": write(partial)}
        body["files"] = {path.name: _checksum(path) for path in sorted(partial.iterdir())}
        text = json.dumps({**body, "checksum": _checksum_of(body)})
        (partial / META).write_text(text, encoding="utf-8")
        _remove(folder)
        partial.replace(folder)
    finally:
        _remove(partial)


def open_or_build(
    folder: Path, open_: Callable[[dict[str, Any]], T | None], write: Callable[[Path], dict[str, Any]]
) -> T:
    """What `open_` makes of the contents, which `write` writes first where they are missing or unfit.

    None from `open_` means that they are out of date. Several processes wait for the one that works. Prints a
    line that says why a folder is made anew. Raises OSError where that fails.
    """
    with locked(folder.with_name(f"{folder.name}.lock")):
        try:
            if (there := contents(folder)) is not None and (opened := open_(there)) is not None:
                return opened
        except Unfit as unfit:
            sys.stderr.write(f"data.cache_dir: {folder} cannot be used ({unfit}) and is made anew\n")
        build(folder, write)
        try:
            if (there := contents(folder)) is not None and (opened := open_(there)) is not None:
                return opened
        except Unfit as unfit:
            raise OSError(f"what was written to {folder} comes back otherwise: {unfit}") from unfit
        raise OSError(f"{folder} is gone, or out of date as soon as it is written")


def contents(folder: Path) -> dict[str, Any] | None:
    """What `write` returned; None where the folder is not there.

    The files are read and compared with their checksums (0.07 s of CPU time for 184 MB on a Xeon), and not
    again until one of them is written to. Raises `Unfit`, and OSError.
    """
    try:
        body = _read_meta(folder / META)
        states = _states(folder, body["files"])
    except (FileNotFoundError, NotADirectoryError) as error:
        if not os.path.lexists(folder):
            return None
        raise Unfit(f"{Path(error.filename).name} is missing") from error
    if states != _checked(folder):
        for name, checksum in body["files"].items():
            if _checksum(folder / name) != checksum:
                raise Unfit(f"{name} is damaged")
        _note_checked(folder, states)
    return body["contents"]


def _read_meta(path: Path) -> dict[str, Any]:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_META_BYTES:
        raise Unfit(f"{META} is not a file of ours")
    try:
        body = json.loads(path.read_bytes())
        checksum = body.pop("checksum")
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise Unfit(f"{META} is damaged") from error
    if checksum != _checksum_of(body):
        raise Unfit(f"{META} is damaged")
    return body


def _checksum_of(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _states(folder: Path, names: dict[str, int]) -> States:
    states = {}
    for name in names:
        status = (folder / name).stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unfit(f"{name} is not a file of ours")
        states[name] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    return states


def _note(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.checked")


def _checked(folder: Path) -> States | None:
    """The states of the files when they were last read; None where that is not known."""
    try:
        file = os.open(_note(folder), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(file, "rb") as note:
            return json.loads(note.read(MOST_META_BYTES))
    except (OSError, ValueError, RecursionError):
        return None


def _note_checked(folder: Path, states: States) -> None:
    fresh = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}.tmp")
    with suppress(OSError):  # a cache that others own: it is checked every time
        try:
            with fresh.open("x", encoding="utf-8") as note:
                note.write(json.dumps(states))
            fresh.replace(_note(folder))
        finally:
            fresh.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
