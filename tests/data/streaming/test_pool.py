"""Loader processes: what they say when they cannot go on, and that they never keep a run from ending."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bnrepro.config.errors import UsageError
from bnrepro.data import waiting
from bnrepro.data.streaming.pool import AHEAD, Pool
from bnrepro.data.streaming.requests import UNIT, Request
from bnrepro.data.waiting import StoppedWaiting, stoppable


def request(first: int, count: int = 2) -> Request:
    return Request("train", np.arange(first, first + count), None)


def number(request: Request, images: torch.Tensor) -> str:
    """Fills every image with its index; 99 is broken."""
    for i, index in enumerate(request.indices):
        images[i] = int(index)
        if index == 99:
            return "99 is broken"
    return ""


def firsts(answers) -> list[int]:
    return [int(images[0, 0, 0, 0]) for images in answers]


@pytest.mark.parametrize("workers", [1, 3])
def test_answers_come_in_the_order_of_the_requests(workers):
    """More of them than there are places, and once more after an iteration that was broken off."""
    pool = Pool(workers, number, crop_size=4)
    broken_off = pool.images(request(i) for i in range(50))
    assert int(next(broken_off)[1, 2, 3, 3]) == 1
    broken_off.close()
    wanted = list(range(100, 100 + 3 * workers * AHEAD))
    assert firsts(pool.images(request(i) for i in wanted)) == wanted


def test_pixels_are_channels_last_and_as_many_as_were_asked_for():
    pool = Pool(1, number, crop_size=4)
    whole, part = (images.clone() for images in pool.images([request(0, UNIT), request(5, 3)]))
    assert whole.shape == (UNIT, 3, 4, 4)
    assert part.shape == (3, 3, 4, 4)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    assert part[:, 0, 0, 0].tolist() == [5, 6, 7]


def test_training_may_write_into_pixels_though_an_evaluation_came_first():
    """As in a run that continues with the evaluation of an epoch that was trained before."""
    with torch.inference_mode():
        pool = Pool(1, number, crop_size=4)
        assert firsts(pool.images([request(7)])) == [7]
    (images,) = pool.images([request(8)])
    assert int(images.add_(1)[0, 0, 0, 0]) == 9


def test_what_is_wrong_comes_in_its_turn():
    answers = list(Pool(2, number, crop_size=4).images([request(1), request(99), request(3)]))
    assert answers[1] == "99 is broken"
    assert isinstance(answers[0], torch.Tensor)


def die(request: Request, images: torch.Tensor) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def test_a_process_that_was_killed_is_said_in_a_line():
    """As the system does where memory is short: the run must fail, not wait."""
    with pytest.raises(RuntimeError, match=r"^a loader process ended .*\(SIGKILL; the system kills .*\)$"):
        list(Pool(1, die, crop_size=4).images([request(0)]))


def hang(request: Request, images: torch.Tensor) -> str:
    time.sleep(600)
    return ""


def test_a_stop_is_granted_while_images_do_not_come(monkeypatch):
    """A network disk that hangs: Ctrl-C and Slurm's SIGTERM must still end the run."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.3)
    with stoppable(lambda: True), pytest.raises(StoppedWaiting):
        list(Pool(1, hang, crop_size=4).images([request(0)]))


def test_a_batch_that_comes_soon_is_not_given_up():
    """The run then stops between two steps, with a checkpoint."""
    with stoppable(lambda: True):
        assert firsts(Pool(1, number, crop_size=4).images([request(7)])) == [7]


def test_processes_end_with_the_pool():
    before = set(multiprocessing.active_children())
    pool = Pool(2, hang, crop_size=4)
    images = pool.images([request(0)])
    assert len(set(multiprocessing.active_children()) - before) == 2
    del pool, images
    assert not set(multiprocessing.active_children()) - before


def test_nothing_is_needed_of_the_folder_for_temporary_files(monkeypatch):
    """Its path may be too long for a socket's name, or gone: the run stood still, deaf to SIGTERM."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/" + 200 * "x")
    assert firsts(Pool(1, number, crop_size=4).images([request(7)])) == [7]


def test_memory_that_cannot_be_had_is_said_in_a_line():
    with pytest.raises(UsageError, match=r"^data.stream.workers: .* GiB .* cannot be had .*crop_size$"):
        Pool(1, number, crop_size=20_000_000)


LOCKED = """
import signal, sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, {here!r})
from test_pool import hang, request
from bnrepro.data.streaming.pool import Pool
from bnrepro.rundir.lock import exclusive
with exclusive(Path({directory!r}), "a run"):
    pool = Pool(1, hang, crop_size=4)
    print(pool._workers[0].process.pid, flush=True)
    list(pool.images([request(0)]))
"""


def test_a_killed_run_leaves_no_lock_behind(tmp_path):
    """The same command must continue at once: its loader processes are busy, and still there."""
    from bnrepro.rundir.lock import exclusive

    code = LOCKED.format(here=str(Path(__file__).parent), directory=str(tmp_path / "run"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        loader = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            with exclusive(tmp_path / "run", "a run"):
                os.kill(loader, 0)  # raises if it is gone, and then nothing was tested
        finally:
            os.kill(loader, signal.SIGKILL)
