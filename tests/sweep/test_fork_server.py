"""Workers of a sweep, where the system puts something in their way."""

import os
import subprocess
import sys
import tempfile
from multiprocessing import forkserver

import pytest
from tiny_runs import TINY

from bnrepro.config.errors import UsageError
from bnrepro.sweep.fork_server import LONGEST, fork_server

AS_THE_SCRIPT = "import sys; sys.path[:] = filter(None, sys.path); from bnrepro.cli import main; main()"


def test_a_temporary_folder_with_too_long_a_path_is_said_in_a_line(monkeypatch):
    """A socket's path has 107 bytes: a cluster's TMPDIR may leave no room for its name."""
    longest = "/" + "ä" * (LONGEST // 2)
    monkeypatch.setattr(tempfile, "tempdir", longest + "xx")
    with pytest.raises(UsageError, match=rf"^TMPDIR=/ä+xx: .* at most {LONGEST} bytes"):
        fork_server()
    monkeypatch.setattr(tempfile, "tempdir", longest[: LONGEST // 2])
    monkeypatch.setattr(forkserver, "ensure_running", lambda: None)  # there is no such folder
    assert fork_server().get_start_method() == "forkserver"


def test_modules_where_the_user_stands_do_not_take_the_place_of_pythons(tmp_path):
    """A `random.py` of the user's own would end every sweep before its first cell."""
    for name in ("random.py", "torch.py", "bnrepro.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from where the user stands')")
    size = ("--norms", "gn", "--batch-sizes", "16", "--seeds", "0", "--jobs", "1", "--out", "sweep")
    overrides = [override for override in TINY if not override.startswith("batch_size")]
    command = [sys.executable, "-c", AS_THE_SCRIPT, "sweep", "batch-size", *overrides, *size]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 completed" in done.stdout


def test_starting_the_server_leaves_the_environment_as_it_was():
    before = dict(os.environ)
    fork_server()
    assert dict(os.environ) == before
