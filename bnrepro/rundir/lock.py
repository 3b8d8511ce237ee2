"""One process at a time on a directory."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bnrepro.config.errors import UsageError

FILE = ".lock"
PATIENCE_SECONDS = 1.0
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system without locks answers: some mounts of NFS and Lustre."""
ON, OFF = "on", "off"
_held: set[int] = set()
"""The locks of this process."""


class Busy(UsageError):
    """Another process has the directory."""


def _let_go() -> None:
    """A child that outlives a killed run, as a loader process for a moment, would hold the run's lock on."""
    for file in _held:
        os.close(file)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def exclusive(directory: Path, what: str, lock: str = ON) -> Iterator[None]:
    """Hold the directory's lock; the system lets it go with the process, however that ends.

    Where the block writes nothing, the lock goes too, and the directories that were made for it. `lock=off`
    goes without. Raises `Busy` where another process has it, `UsageError` where the directory cannot be
    written and where the file system has no locks.
    """
    if lock == OFF:
        yield
        return
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        file = _locked(directory)
    except OSError as error:
        if error.errno in NO_LOCKS:
            _leave_no_traces(directory, made)
            raise UsageError(
                f"{directory}: its file system has no locks ({error.strerror}); lock=off goes without, and "
                "then you see to it that no two processes work there at once; or choose another --out"
            ) from error
        raise UsageError(
            f"{directory}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    if file is None:
        raise Busy(
            f"{directory}: {what} is under way there in another process; wait for it, or choose another --out"
        )
    _held.add(file)
    try:
        yield
    finally:
        _leave_no_traces(directory, made)
        if file in _held:
            _held.discard(file)
            os.close(file)


def _locked(directory: Path) -> int | None:
    """Try for a moment: `bnrepro status` holds a lock for an instant, a killed worker a little longer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its last holder has just removed the directory
            file = _open(directory / FILE)
            try:
                if _lock(file) and _is_there(file, directory / FILE):
                    return file
            except OSError:
                os.close(file)
                raise
            os.close(file)
        if time.monotonic() > end:
            return None
        time.sleep(0.05)


def _open(path: Path) -> int:
    """Without following a link, and without waiting where it is a pipe."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_there(file: int, path: Path) -> bool:
    """Or has its last holder removed it since we opened it?"""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _leave_no_traces(directory: Path, made: Sequence[Path]) -> None:
    with suppress(OSError):  # what has got other contents stays
        if [path.name for path in directory.iterdir()] == [FILE]:
            (directory / FILE).unlink()
            for path in made:
                path.rmdir()
