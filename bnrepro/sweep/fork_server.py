"""The process that workers are forked from."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from multiprocessing.context import ForkServerContext

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.sweep.worker import preloaded

LONGEST = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")
"""Bytes of a path in which the server's socket finds room: the system takes 107 (unix(7))."""


def fork_server(config: RunConfig, steps: int) -> ForkServerContext:
    """Starts processes from a server that has loaded what a run needs, and does nothing else.

    `steps`: of the longest run. A new one takes no time, and inherits neither this process's threads nor its
    files. Raises `UsageError` where the server's socket has no room.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > LONGEST:
        raise UsageError(
            f"TMPDIR={folder}: is too long for the sockets of worker processes; set it to a path of at most "
            f"{LONGEST} bytes, as TMPDIR=/tmp"
        )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preloaded(config, steps))
    return context
