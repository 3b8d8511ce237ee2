"""The program in processes of its own, forked from one that has torch loaded: they are ready at once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnrepro.cli import main

PRELOADED = ["bnrepro.sweep.worker"]
"""As the workers of a sweep in this process, which come from the same server."""


class Program:
    """`bnrepro ARGUMENTS` in a process and a process group of its own: `os.killpg` is Ctrl-C."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        folder = Path(tempfile.mkdtemp(prefix="bnrepro-test-"))
        weakref.finalize(self, shutil.rmtree, folder)
        self._outputs = (folder / "out", folder / "err")
        place = (Path.cwd(), os.environ | environment)
        self._process = context.Process(target=_program, args=(arguments, *place, self._outputs))
        self._process.start()
        self.pid = int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float = 300) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"it has not ended within {timeout} s"
        return code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """What it printed, once it has ended."""
        self.wait(timeout)
        out, err = (path.read_text() if path.exists() else "" for path in self._outputs)
        return out, err


def _program(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], outputs: tuple[Path, Path]
) -> None:
    os.setsid()
    # who starts the tests in the background may have SIGINT ignored, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), descriptor)
    sys.argv = ["bnrepro", *arguments]
    main()


def processes_of_a_run(number: int, *arguments: str) -> list[Program]:
    """The processes of one run, as torchrun starts them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(number)}
    return [Program(*arguments, **meeting, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(number)]
