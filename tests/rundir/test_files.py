"""A user would lose a file to another one, or find half of one under its name."""

import errno
import os
import stat

import pytest

from bnrepro.config.errors import StorageError
from bnrepro.rundir import files
from bnrepro.rundir.files import append, clear_unfinished, replace_file, write_json, write_text


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_link_is_replaced_and_what_is_behind_it_stays(tmp_path):
    """Whoever plots somebody else's sweep would overwrite a file of their own."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "table.csv").symlink_to("mine")
    write_text(tmp_path / "table.csv", "table")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "table.csv").is_symlink()
    assert (tmp_path / "table.csv").read_text() == "table"


def test_the_fresh_file_is_never_one_that_is_there(tmp_path, monkeypatch):
    """Somebody who foresees its name could lay a link there."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "known")
    (tmp_path / files.UNFINISHED.replace("*", "known")).symlink_to(tmp_path / "mine")
    with pytest.raises(StorageError, match="File exists"):
        write_text(tmp_path / "file", "text")
    assert not (tmp_path / "mine").exists()


def test_rights_are_those_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_full_disk_leaves_the_old_file_and_nothing_else_and_says_what_to_do(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, 1)
    with pytest.raises(StorageError) as refused:
        replace_file(path, full)
    assert str(refused.value) == (
        f"{path}: cannot be written (No space left on device); make room; the same command continues"
    )
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_an_appended_line_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    write_text(path, "first\n")
    write, left = os.write, iter([3])

    def fills_up(file, data):
        size = next(left, None)
        return write(file, data[:size]) if size else full()

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", fills_up)
        with pytest.raises(StorageError, match="make room"):
            append(path, b"second\n")
    assert path.read_text() == "first\n"
    append(path, b"second\n")
    assert path.read_text() == "first\nsecond\n"


def test_nothing_is_appended_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "metrics.jsonl").symlink_to("mine")
    with pytest.raises(StorageError):
        append(tmp_path / "metrics.jsonl", b"line\n")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_directory_that_vanished_is_said(tmp_path):
    with pytest.raises(StorageError, match="its directory is gone; the same command continues"):
        write_text(tmp_path / "gone" / "file", "text")


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path):
    write_text(tmp_path / "file", "text")
    (tmp_path / files.UNFINISHED.replace("*", "0123")).touch()
    clear_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_json_that_others_could_not_read_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "result.json", {"error": {"running": float("nan")}})
    assert list(tmp_path.iterdir()) == []
