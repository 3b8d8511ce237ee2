"""A user would have two processes write into one directory, or litter from a call that did nothing."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from bnrepro.config.errors import UsageError
from bnrepro.rundir import lock
from bnrepro.rundir.lock import exclusive


def test_who_writes_nothing_leaves_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    for directory in (tmp_path / "results" / "runs" / "one", tmp_path / "there"):
        with pytest.raises(UsageError, match="refused"), exclusive(directory, "a run"):
            raise UsageError("refused")
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_what_was_written_stays_with_its_directories(tmp_path):
    directory = tmp_path / "runs" / "one"
    with exclusive(directory, "a run"):
        (directory / "metrics.jsonl").touch()
    with exclusive(directory, "a run"):
        pass
    assert (directory / "metrics.jsonl").exists()


def test_a_lock_that_was_waited_for_counts_though_its_file_was_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 60.0)
    directory, has_it, may_go = tmp_path / "run", threading.Event(), threading.Event()

    def second():
        with exclusive(directory, "a run"):
            has_it.set()
            may_go.wait(60)

    waiting = threading.Thread(target=second)
    with exclusive(directory, "a run"):
        waiting.start()
        assert not has_it.wait(0.2)
    assert has_it.wait(60)
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.0)
    try:
        with pytest.raises(UsageError, match="is under way there"), exclusive(directory, "a run"):
            pass
    finally:
        may_go.set()
        waiting.join()
    assert not (directory / lock.FILE).exists()


KILLED_WITH_A_CHILD = """
import os, pathlib, signal, sys, time
from bnrepro.rundir.lock import exclusive
with exclusive(pathlib.Path(sys.argv[1]), "a run"):
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(30)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_child_does_not_keep_the_lock_of_a_parent_that_was_killed(tmp_path, monkeypatch):
    """The run would be "under way" for as long as its loader processes take to notice."""
    killed = subprocess.run([sys.executable, "-c", KILLED_WITH_A_CHILD, str(tmp_path / "run")])
    assert killed.returncode == -signal.SIGKILL
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 10.0)  # the child may not have begun yet
    with exclusive(tmp_path / "run", "a run"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_and_lock_off_goes_without(tmp_path, monkeypatch, number):
    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with (
        pytest.raises(UsageError, match=r"run: its file system has no locks .*lock=off goes without"),
        exclusive(tmp_path / "run", "a run"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with exclusive(tmp_path / "run", "a run", lock.OFF):
        pass


@pytest.mark.parametrize("what", ["pipe", "link"])
def test_a_lock_that_is_not_a_file_neither_hangs_nor_is_followed(tmp_path, what):
    if what == "pipe":
        os.mkfifo(tmp_path / lock.FILE)
    else:
        (tmp_path / lock.FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot be written"), exclusive(tmp_path, "a run"):
        pass
    assert not (tmp_path / "elsewhere").exists()
