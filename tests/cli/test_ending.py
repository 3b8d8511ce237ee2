"""A user would not see how a call ended: who reads its output may leave, or have no × in the locale."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import TINY, tiny_config

from bnrepro.sweep.plan import Axes, plan_sweep
from bnrepro.sweep.view import View
from bnrepro.training.process.interrupt import StopFlag
from bnrepro.training.progress import Progress, ProgressLine

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Left(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bnrepro", *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment})


@pytest.mark.slow
def test_a_sweep_whose_reader_leaves_stops_with_141(tmp_path: Path) -> None:
    arguments = ("sweep", "batch-size", *TINY[:1], *TINY[2:], "--norms", "bn,gn", "--batch-sizes", "1,64")
    command = [sys.executable, "-m", "bnrepro", *arguments, "epochs=30", "--jobs", "1"]
    command += ["--out", str(tmp_path / "sweep")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 141


@pytest.mark.slow
def test_the_last_lines_are_ours_and_not_of_a_library_that_misses_its_objects(tmp_path: Path) -> None:
    arguments = ("sweep", "batch-size", *TINY[:1], *TINY[2:], "--norms", "bn", "--batch-sizes", "64")
    done = program(*arguments, "--out", str(tmp_path / "sweep"))
    assert done.returncode == 0
    assert b"leaked" not in done.stderr


@pytest.mark.parametrize("arguments", [("show-config",), ("--help",), ("train", "--help"), ("--version",)])
def test_a_reader_that_has_left_is_not_a_failure_nor_a_traceback(arguments: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "bnrepro", *arguments]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_run_is_asked_to_stop_where_nobody_reads_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopFlag()
    monkeypatch.setattr("bnrepro.training.progress.PLAIN_SECONDS", 0.0)
    monkeypatch.setattr("bnrepro.training.progress.LONG_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", Left())
    line = ProgressLine(stop)
    line(Progress(step=1, total_steps=2, epoch=1, images_per_second=1.0, error=None))
    assert stop.wanted
    assert line.reader_left


def test_a_sweep_notices_that_nobody_reads_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = plan_sweep(tiny_config_overrides(), Axes(("gn",), (16,), (0,)), 128).cells
    monkeypatch.setattr(sys, "stderr", Left())
    view = View([[cell]], 0, 1)
    view.started(cell)
    with pytest.raises(BrokenPipeError):
        view.finished(cell, result_of(cell))


def tiny_config_overrides() -> list[str]:
    return [override for override in TINY if not override.startswith("batch_size")]


def result_of(cell: object) -> dict[str, object]:
    config = tiny_config("norm=gn")
    head = {"norm": "gn", "batch_size": config.batch_size, "seed": config.seed, "status": "completed"}
    return {**head, "error": {"running": 1.0}, "images_per_second": 1.0, "wall_seconds": 1.0}


@pytest.mark.parametrize("arguments", [("show-config", "seed=–"), ("sweep", "batch-size", "--help")])
def test_what_the_locale_cannot_show_is_replaced(arguments: tuple[str, ...]) -> None:
    done = program(*arguments, PYTHONIOENCODING="iso-8859-1")
    assert b"Traceback" not in done.stderr
    assert b"?" in done.stdout + done.stderr


def test_a_path_that_the_locale_cannot_read_is_refused_in_a_line() -> None:
    done = program("show-config", "data.root=/x/été", **ASCII)
    assert done.returncode == 2
    assert b"is not text in ascii" in done.stderr


@pytest.mark.slow
def test_a_run_in_an_ascii_locale(tmp_path: Path) -> None:
    done = program("train", *TINY, "--out", str(tmp_path / "run"), **ASCII)
    assert done.returncode == 0, done.stderr


def test_a_removed_current_directory_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = [sys.executable, "-c", "import os; os.rmdir(os.getcwd()); from bnrepro.cli import main; main()"]
    done = subprocess.run([*command, "show-config"], cwd=tmp_path / "gone", capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "bnrepro: the current directory was removed; change to one that is there (cd)\n"
