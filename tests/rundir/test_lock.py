"""A user would have two processes write into one directory, or litter from a call that did nothing."""

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
