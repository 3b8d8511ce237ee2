"""A user would get another result from a run that was interrupted."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from forked import Program
from tiny_runs import TINY, call, record, tiny_config, tiny_run

from bnrepro.data.resident import ResidentFeed
from bnrepro.norms import NORMS, traits_of
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.progress import Progress

BATCH_NORMS = sorted(name for name, factory in NORMS.items() if traits_of(factory).batch_statistics)
"""Norms with a state beside their parameters."""
SHORT = ("epochs=2", "data.train_subset=64", "batch_size=4", "evaluation.every=1")
LONG = (
    "epochs=2",
    "data.train_subset=384",
    "batch_size=4",
    "evaluation.every=1",
    "checkpoint.every_minutes=1e-9",
)


class StopAfter:
    """Watches a run and wishes it to stop after some reports."""

    def __init__(self, reports: int) -> None:
        self.left = reports
        self.flag = StopFlag()

    def __call__(self, progress: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            self.flag.set()


def run_in_pieces(directory: Path, overrides: tuple[str, ...], pieces: random.Random) -> int:
    """Interrupt at random steps until it is done; how often that was."""
    for interruptions in range(1000):
        watcher = StopAfter(pieces.randint(1, 3))
        try:
            tiny_run(directory, *overrides, stop=watcher.flag, report=watcher)
        except Interrupted:
            continue
        return interruptions
    raise AssertionError("the run does not get on")


@pytest.mark.parametrize("norm", [*BATCH_NORMS, "gn"])
def test_a_run_in_pieces_equals_a_run_in_one_go(tmp_path, monkeypatch, norm):
    """Bit for bit: result and every line of metrics.jsonl."""
    monkeypatch.setattr(ResidentFeed, "chunk_images", 16)  # stops within an epoch too
    overrides = (*SHORT, f"norm={norm}")
    tiny_run(tmp_path / "whole", *overrides)
    interruptions = run_in_pieces(tmp_path / "pieces", overrides, random.Random(norm))
    assert interruptions > 1
    assert record(tmp_path / "pieces") == record(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["bn_frozen", "bn_noisy", "brn", "mabn"])
def test_a_run_that_is_stopped_before_an_evaluation_evaluates_alike(tmp_path, norm):
    """What a norm has of its last step's number, as the bounds of batch renormalization, is there again."""
    overrides = (*SHORT, f"norm={norm}")
    tiny_run(tmp_path / "whole", *overrides)
    last = StopAfter(2)  # a report per epoch, after its last step
    with pytest.raises(Interrupted):
        tiny_run(tmp_path / "stopped", *overrides, stop=last.flag, report=last)
    tiny_run(tmp_path / "stopped", *overrides)
    assert record(tmp_path / "stopped") == record(tmp_path / "whole")


def test_a_killed_run_equals_one_in_one_go(tmp_path):
    """SIGKILL at a random moment, twice; then the same command to the end, in another process."""
    tiny_run(tmp_path / "whole", *LONG)
    directory = tmp_path / "killed"
    arguments = ("train", *TINY, *LONG, "--out", str(directory))
    for _ in range(2):
        process = Program(*arguments)
        before = mtime(directory / "checkpoint.pt")
        while mtime(directory / "checkpoint.pt") == before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    ended = call(*arguments)
    assert (ended.code, "starts again" in ended.err) == (0, False), ended.err
    assert record(directory) == record(tmp_path / "whole")


def mtime(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def test_a_line_that_a_kill_cut_is_written_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ResidentFeed, "chunk_images", 16)
    tiny_run(tmp_path / "whole", *SHORT)
    watcher = StopAfter(6)  # in the second epoch
    with pytest.raises(Interrupted):
        tiny_run(tmp_path / "cut", *SHORT, stop=watcher.flag, report=watcher)
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "step": 32, "lr"')
    tiny_run(tmp_path / "cut", *SHORT)
    assert record(tmp_path / "cut") == record(tmp_path / "whole")


def test_no_resume_starts_again_and_does_not_find_the_old_checkpoint_later(tmp_path, monkeypatch):
    monkeypatch.setattr(ResidentFeed, "chunk_images", 16)
    directory = tmp_path / "run"
    tiny_run(directory, *SHORT)
    whole = record(directory)
    watcher, killed = StopAfter(1), KeyboardInterrupt()

    def dies(progress: Progress) -> None:
        watcher(progress)
        raise killed  # before anything is saved

    with pytest.raises(KeyboardInterrupt):
        tiny_run(directory, *SHORT, resume=False, report=dies)
    assert not (directory / "result.json").exists()
    tiny_run(directory, *SHORT)
    assert record(directory) == whole


def test_the_checkpoint_is_no_part_of_what_a_result_depends_on(tmp_path):
    often = tiny_run(tmp_path / "often", "checkpoint.every_minutes=1e-9")
    seldom = tiny_run(tmp_path / "seldom")
    assert often["config_hash"] == seldom["config_hash"]
    assert tiny_config("checkpoint.every_minutes=1e-9").checkpoint.every_minutes == 1e-9
    assert record(tmp_path / "often") == record(tmp_path / "seldom")
