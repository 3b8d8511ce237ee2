"""One process at a time on a directory."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bnrepro.config.errors import UsageError

FILE = ".lock"
PATIENCE_SECONDS = 1.0


@contextmanager
def exclusive(directory: Path, what: str) -> Iterator[None]:
    """Hold the directory's lock; the system lets it go with the process, however that ends.

    Raises `UsageError` where another process has it, or where the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / FILE).open("a")
    except OSError as error:
        raise UsageError(
            f"{directory}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    with file:
        if not _lock(file):
            raise UsageError(
                f"{directory}: {what} is under way there in another process; wait for it, or choose "
                "another --out"
            )
        yield


def _lock(file: IO[str]) -> bool:
    """Try for a moment: `bnrepro status` holds a lock for an instant, a killed worker a little longer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
