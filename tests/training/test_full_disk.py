"""A full disk would cost a user the run, or leave half a file under its name."""

import errno
import itertools
import os

from tiny_runs import TINY, call, record, tiny_run

from bnrepro.rundir import files

RUN = ("tensorboard=true", "data.train_subset=64")


class Disk:
    """Is full for the `number`-th file that is opened for writing below a directory, from 0."""

    def __init__(self, directory, number):
        self.directory, self.left = str(directory), number
        self.open = os.open

    def __call__(self, path, flags, *mode, **options):
        if flags & (os.O_CREAT | os.O_APPEND) and str(path).startswith(self.directory):
            if not str(path).endswith(".lock"):
                self.left -= 1
            if self.left == -1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.open(path, flags, *mode, **options)


def test_whichever_file_does_not_fit_the_same_command_continues_once_it_does(tmp_path, monkeypatch):
    tiny_run(tmp_path / "whole", *RUN)
    whole = record(tmp_path / "whole")
    for number in itertools.count():
        directory = tmp_path / str(number)
        arguments = ("train", *TINY, *RUN, "--out", str(directory))
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", Disk(directory, number))
            ended = call(*arguments)
        if ended.code == 0:
            break
        (line,) = ended.err.splitlines()
        assert line.startswith(f"bnrepro: {directory}/")
        assert line.endswith("(No space left on device); make room; the same command continues")
        assert (ended.code, list(directory.glob(files.UNFINISHED))) == (1, [])
        assert call(*arguments).code == 0
        assert record(directory) == whole
    assert number >= 8  # so many files are written
