"""One process at a time on a directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bnrepro.config.errors import UsageError

FILE = ".lock"
PATIENCE_SECONDS = 1.0

_held: set[IO[str]] = set()
"""The locks of this process."""


def _inherit_none() -> None:
    """A child that outlives a killed run, as a loader process for a moment, would hold the run's lock on."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_inherit_none)


@contextmanager
def exclusive(directory: Path, what: str) -> Iterator[None]:
    """Hold the directory's lock; the system lets it go with the process, however that ends.

    Where the block writes nothing, the lock goes too, and the directories that were made for it. Raises
    `UsageError` where another process has it, or where the directory cannot be written.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        file = _locked(directory)
    except OSError as error:
        raise UsageError(
            f"{directory}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    if file is None:
        raise UsageError(
            f"{directory}: {what} is under way there in another process; wait for it, or choose another --out"
        )
    with file:
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
            _leave_no_traces(directory, made)


def _locked(directory: Path) -> IO[str] | None:
    """Try for a moment: `bnrepro status` holds a lock for an instant, a killed worker a little longer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its last holder has just removed the directory
            file = (directory / FILE).open("a")
            if _lock(file) and _is_there(file, directory / FILE):
                return file
            file.close()
        if time.monotonic() > end:
            return None
        time.sleep(0.05)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_there(file: IO[str], path: Path) -> bool:
    """Or has its last holder removed it since we opened it?"""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _leave_no_traces(directory: Path, made: Sequence[Path]) -> None:
    with suppress(OSError):  # what has got other contents stays
        if [path.name for path in directory.iterdir()] == [FILE]:
            (directory / FILE).unlink()
            for path in made:
                path.rmdir()
