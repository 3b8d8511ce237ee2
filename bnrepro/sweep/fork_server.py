"""The process that workers are forked from."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

from bnrepro.config.errors import UsageError

LONGEST = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")
"""Bytes of a path in which the server's socket finds room: the system takes 107 (unix(7))."""
WORKER = "bnrepro.sweep.worker"


def fork_server() -> ForkServerContext:
    """Starts processes from a server that has loaded what a run needs, and does nothing else.

    The server starts here, unless it has been; a caller that has something else to load calls this first.
    A new process takes no time, and inherits neither this process's threads nor its files. Raises
    `UsageError` where the server's socket has no room.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > LONGEST:
        raise UsageError(
            f"TMPDIR={folder}: is too long for the sockets of worker processes; set it to a path of at most "
            f"{LONGEST} bytes, as TMPDIR=/tmp"
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([WORKER])
    with _as_this_process():
        forkserver.ensure_running()
    return context


@contextmanager
def _as_this_process() -> Iterator[None]:
    """What starts in the block finds modules where this process does, and ignores Ctrl-C, which is ours.

    Python searches the current directory first for a process that is given its program as text: a file
    `random.py` where the user stands would end the server.
    """
    found = os.pathsep.join(path for path in sys.path if path and os.pathsep not in path)
    ours = {"PYTHONSAFEPATH": "1", "PYTHONPATH": found}
    before = {name: os.environ.get(name) for name in ours}
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ours)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
