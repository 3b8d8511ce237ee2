"""A user would lose a night of training to one bad cell, or get other numbers than alone."""

import json
import os
import signal
import time
from pathlib import Path
from unittest import mock

import pytest
from forked import Program
from tiny_runs import TINY, Ended, call, folder_overrides, image_folder, record, tiny_run

from bnrepro.rundir.lock import exclusive
from bnrepro.sweep.directory import read_sweep
from bnrepro.sweep.status import is_locked, sweep_status
from bnrepro.sweep.view import View

GRID = ("--norms", "bn,gn", "--batch-sizes", "8,32", "--jobs", "2")
WITHOUT_AXES = tuple(o for o in TINY if not o.startswith("batch_size="))


def sweep(out: Path, *arguments: str) -> Ended:
    return call("sweep", "batch-size", *WITHOUT_AXES, *arguments, "--out", str(out))


def result(out: Path, cell: str) -> dict:
    return json.loads((out / "cells" / cell / "result.json").read_text())


def written(out: Path) -> dict[str, int]:
    """When each cell's result was written."""
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("cells/*/result.json")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished sweep, and in which order its cells were started."""
    out = tmp_path_factory.mktemp("a sweep (été)") / "out"
    with mock.patch.object(View, "started", autospec=True, side_effect=View.started) as started:
        ended = sweep(out, *GRID)
    assert ended.code == 0, ended.err
    return out, [call.args[1].id for call in started.call_args_list]


def test_a_cell_is_the_same_run_alone_and_in_a_sweep(finished, tmp_path):
    out, _ = finished
    alone = tmp_path / "alone"
    ended = call("train", *TINY, "norm=bn", "batch_size=8", "--out", str(alone))
    assert ended.code == 0, ended.err
    assert record(alone) == record(out / "cells" / "bn-b8-s0")


def test_the_longest_cells_start_first(finished):
    _, started = finished
    assert started == ["bn-b8-s0", "gn-b8-s0", "bn-b32-s0", "gn-b32-s0"]


def test_the_plan_and_every_run_are_on_disk(finished):
    out, started = finished
    cells = read_sweep(out)["cells"]
    assert {cell["id"] for cell in cells} == set(started)
    for cell in cells:
        assert result(out, cell["id"])["config_hash"] == cell["config_hash"]
    assert {state.state for state in sweep_status(out)} == {"completed"}


def test_the_same_command_has_nothing_left_to_do(finished):
    out, _ = finished
    before = written(out)
    ended = sweep(out, *GRID)
    assert ended.code == 0
    assert "4 completed" in ended.out
    assert written(out) == before


def test_more_of_an_axis_trains_only_what_is_missing(finished):
    out, _ = finished
    before = written(out)
    ended = sweep(out, "--norms", "gn", "--batch-sizes", "32,64", "--seeds", "0", "--jobs", "1")
    assert ended.code == 0, ended.err
    after = written(out)
    assert set(after) - set(before) == {"gn-b64-s0"}
    assert {cell: after[cell] for cell in before} == before


def test_another_config_is_refused_with_the_keys(finished):
    out, _ = finished
    before = written(out)
    ended = sweep(out, *GRID, "optimizer.momentum=0.5")
    assert ended.code == 2
    assert "optimizer.momentum: 0.9 -> 0.5" in ended.err
    assert ended.err.count("\n") == 1
    assert written(out) == before


def test_a_second_sweep_on_the_directory_is_refused(finished):
    out, _ = finished
    with exclusive(out, "a sweep"):
        ended = sweep(out, *GRID)
    assert ended.code == 2
    assert "a sweep is under way there" in ended.err
    assert ended.err.count("\n") == 1


def test_dry_run_names_the_cell_that_would_fail_and_times_the_others(tmp_path):
    root = image_folder(tmp_path / "photos", size=4, per_class=20)
    axes = ("--norms", "bn", "--batch-sizes", "1,2", "--seeds", "0", "--out", str(tmp_path / "out"))
    ended = call(
        "sweep", "batch-size", "data=image_folder", f"data.root={root}", "epochs=1", *axes, "--dry-run"
    )
    assert ended.code == 0, ended.err
    assert "bn-b1 would fail: ValueError: Expected more than 1 value per channel" in ended.err
    assert [line.split()[-2] for line in ended.out.splitlines() if line.startswith("bn-b1-s0 ")] == ["fails"]
    assert "about " in ended.out


def test_dry_run_prints_cells_steps_and_time_and_writes_nothing(tmp_path):
    ended = sweep(tmp_path / "out", "--norms", "bn", "--batch-sizes", "32", "--dry-run")
    assert ended.code == 0, ended.err
    assert "bn-b32-s0" in ended.out
    assert "about " in ended.out
    assert not (tmp_path / "out").exists()


def test_a_failed_cell_leaves_the_rest_alone_and_is_tried_again(tmp_path):
    """4×4 images, batch size 1: one value per channel at the end of the network."""
    out = tmp_path / "out"
    data = folder_overrides(image_folder(tmp_path / "data", size=4), tmp_path / "cache")
    arguments = (*data, "--norms", "bn,gn", "--batch-sizes", "1,8", "--jobs", "1")
    ended = sweep(out, *arguments)
    assert ended.code == 1
    assert "1 failed" in ended.out and "3 completed" in ended.out
    assert "failed: bn-b1-s0: " in ended.err
    assert "Expected more than 1 value per channel" in result(out, "bn-b1-s0")["message"]
    before = written(out)
    assert sweep(out, *arguments).code == 1
    after = written(out)
    assert [cell for cell in after if after[cell] != before[cell]] == ["bn-b1-s0"]


def test_a_cell_that_another_process_trains_has_not_failed(tmp_path):
    out = tmp_path / "out"
    arguments = ("--norms", "bn,gn", "--batch-sizes", "32", "--jobs", "1")
    with exclusive(out / "cells" / "bn-b32-s0", "a run"):
        ended = sweep(out, *arguments)
    assert ended.code == 1
    assert "1 completed" in ended.out and "failed" not in ended.out + ended.err
    assert "not trained: bn-b32-s0: " in ended.err and "a run is under way there" in ended.err
    assert sweep(out, *arguments).code == 0


def test_a_diverged_cell_is_a_result_and_not_tried_again(tmp_path):
    out = tmp_path / "out"
    arguments = ("--norms", "none", "--batch-sizes", "16", "norm.skip_init=false", "optimizer.base_lr=1e12")
    ended = sweep(out, *arguments)
    assert ended.code == 0, ended.err
    assert "1 diverged" in ended.out
    assert result(out, "none-b16-s0")["error"] == {"running": 90.0}
    before = written(out)
    assert sweep(out, *arguments).code == 0
    assert written(out) == before


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    """A norm of the user's own whose first layer sends its process a signal, once."""
    (tmp_path / "configs" / "norm").mkdir(parents=True)
    (tmp_path / "configs" / "norm" / "deadly.yaml").write_text(
        f"name: deadly\nfactory: deadly_norm:make\nsignal: 9\nonce: {tmp_path}/once\n"
    )
    (tmp_path / "deadly_norm.py").write_text(
        "import os, pathlib\n"
        "from torch import nn\n"
        "def make(num_channels, *, signal, once):\n"
        "    if not pathlib.Path(once).exists():\n"
        "        pathlib.Path(once).touch()\n"
        "        os.kill(os.getpid(), signal)\n"
        "    return nn.GroupNorm(1, num_channels)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return ("--norms", "deadly,gn", "--batch-sizes", "32", "--config-dir", str(tmp_path / "configs"))


def test_a_worker_that_is_killed_marks_its_cell_and_nothing_else(tmp_path, deadly):
    out = tmp_path / "out"
    ended = sweep(out, *deadly, "--jobs", "1")
    assert ended.code == 1
    assert "the worker process died (SIGKILL)" in result(out, "deadly-b32-s0")["message"]
    assert result(out, "gn-b32-s0")["status"] == "completed"
    assert sweep(out, *deadly).code == 0
    assert result(out, "deadly-b32-s0")["status"] == "completed"


def test_a_worker_that_is_told_to_stop_loses_no_cell(tmp_path, deadly):
    out = tmp_path / "out"
    ended = sweep(out, *deadly, "norm.signal=15", "--jobs", "1")
    assert ended.code == 0, ended.err
    assert result(out, "deadly-b32-s0")["status"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c", "kill -9"])
def test_an_interrupted_sweep_keeps_its_work_and_the_same_command_continues(tmp_path, how):
    out = tmp_path / "out"
    overrides = ("epochs=8", "checkpoint.every_minutes=1e-9")
    arguments = (*overrides, "--norms", "bn", "--batch-sizes", "4", "--jobs", "1")
    cell = out / "cells" / "bn-b4-s0"
    process = Program("sweep", "batch-size", *WITHOUT_AXES, *arguments, "--out", str(out))
    while not (cell / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    if how == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    _, err = process.communicate()
    while is_locked(cell):  # the worker notices, and saves
        time.sleep(0.02)
    if how == "ctrl-c":
        assert process.returncode == 130
        assert (
            err.splitlines()[-1] == "bnrepro: stopped with 0 of 1 cell finished; the same command continues"
        )
    assert [state.state for state in sweep_status(out)] == ["interrupted"]
    ended = sweep(out, *arguments)
    assert ended.code == 0, ended.err
    tiny_run(tmp_path / "whole", *overrides, "norm=bn", "batch_size=4")
    assert record(cell) == record(tmp_path / "whole")
