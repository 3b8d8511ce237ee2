"""scripts/slurm/*.sbatch on a real cluster: what a user submits trains, continues, says what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shell_scripts import ROOT
from tiny_runs import TINY, call, record, tiny_run

pytestmark = pytest.mark.slurm
SWEEP, MULTI_NODE = (ROOT / "scripts" / "slurm" / name for name in ("sweep.sbatch", "multi-node.sbatch"))
CELL = tuple(override for override in TINY if not override.startswith("batch_size="))


def sbatch(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Submit from `folder`, with this environment's bnrepro first on the PATH; ends with the job."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["sbatch", "--wait", "--parsable", *map(str, arguments)],
        env=os.environ | {"PATH": path} | environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def logs(folder: Path) -> str:
    return "\n".join(log.read_text() for log in sorted(folder.glob("slurm-*.out")))


def test_array_of_trains_becomes_a_sweep_that_plots(tmp_path: Path) -> None:
    axes = {"NORMS": "bn gn", "BATCH_SIZES": "16", "SEEDS": "0"}
    with sbatch(tmp_path, "--array=0-1", SWEEP, "the sweep", *CELL, **axes) as job:
        assert job.wait(timeout=500) == 0, logs(tmp_path)
    directory = tmp_path / "the sweep"
    options = ("--norms", "bn,gn", "--batch-sizes", "16", "--seeds", "0", "--out", str(directory))
    found = call("sweep", "batch-size", *CELL, *options)
    assert found.code == 0, found.err
    assert "2 completed" in found.out
    assert call("plot", str(directory), "--format", "png").code == 0
    tiny_run(tmp_path / "alone", "norm=bn")
    assert record(directory / "cells" / "bn-b16-s0") == record(tmp_path / "alone")


def test_array_that_does_not_count_the_cells_is_refused(tmp_path: Path) -> None:
    axes = {"NORMS": "bn", "BATCH_SIZES": "16 32", "SEEDS": "0 1"}
    with sbatch(tmp_path, "--array=0-1", SWEEP, "sweep", **axes) as job:
        assert job.wait(timeout=200) == 2
    assert "these axes have 4 cells: sbatch --array=0-3" in logs(tmp_path)


def test_run_over_several_processes_stops_is_requeued_and_ends(tmp_path: Path) -> None:
    run = tmp_path / "a run"
    # long enough to be in its middle when the signal comes, on any machine
    epochs = 40
    workers = ("protocol=workers", "protocol.workers=2", "norm=bn", "batch_size=32", f"epochs={epochs}")
    workers += ("evaluation.every=1",)  # each with its checkpoint
    asked = ("--nodes=1", "--ntasks-per-node=2", "--gpus-per-node=0", "--cpus-per-task=1")
    with sbatch(tmp_path, *asked, MULTI_NODE, "--out", run, *TINY, *workers) as job:
        assert job.stdout is not None
        number = job.stdout.readline().strip()
        end = time.monotonic() + 300
        while not (run / "checkpoint.pt").exists():
            assert time.monotonic() < end, logs(tmp_path)
            time.sleep(0.1)
        subprocess.run(["scancel", "--signal=TERM", number], check=True)
        assert job.wait(timeout=300) == 0, logs(tmp_path)
    result = json.loads((run / "result.json").read_text())
    assert (result["status"], result["workers"], result["epochs"]) == ("completed", 2, epochs)
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True)
    assert "Restarts=1" in shown.stdout, logs(tmp_path)
