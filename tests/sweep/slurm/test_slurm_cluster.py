"""Sweeps on a real Slurm: the same numbers, no work twice, none lost, whatever happens to the jobs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from slurm_sweep import SlurmSweep, WaitingRuns, slurm, until
from tiny_runs import MAY_DIFFER, call, record, tiny_run

pytestmark = pytest.mark.slurm
HELD = ("launcher.parameters={hold: true}",)
"""The jobs wait until the test ends."""


def table(directory: Path) -> pd.DataFrame:
    assert call("plot", str(directory), "--format", "png").code == 0
    frame = pd.read_csv(directory / "table.csv")
    return frame[[column for column in frame.columns if not column.endswith(MAY_DIFFER)]]


def test_array_gives_the_local_launchers_table_from_any_directory(
    tmp_path: Path, sweep: Callable[..., SlurmSweep]
) -> None:
    """Names and set-up lines with everything a shell would act on: it must act on the set-up lines alone."""
    axes = ("--norms", "bn,gn", "--batch-sizes", "16,32")
    nasty = f'it\'s a "$(touch {tmp_path.name}-1)" `touch {tmp_path.name}-2` ;& #ü'
    on_slurm = sweep(*axes, directory=nasty)
    setup = f'export NOTE="$HOME\'s first\nand second line"; printf "%s" "$NOTE" > "{tmp_path}/note"'
    quoted = setup.replace("\\", "\\\\").replace("'", "\\'")
    name = "launcher.job_name='$(touch x) \"ü\" #1'"
    done = on_slurm.submit(name, f"launcher.setup=['{quoted}']", "launcher.cells_per_job=2", "--wait")
    assert done.code == 0, done.err
    assert "4 cells in 2 tasks" in done.out
    assert {job.id for job in on_slurm.jobs()} == {f"{on_slurm.jobs()[0].id[:-2]}_{task}" for task in (0, 1)}
    local = sweep(*axes, directory="local")
    assert local.submit(launcher="local").code == 0
    pd.testing.assert_frame_equal(table(on_slurm.directory), table(local.directory))
    assert (tmp_path / "note").read_text().endswith("'s first\nand second line")
    assert not [*Path.cwd().glob("x"), *Path.cwd().glob(f"{tmp_path.name}-*")]
    again = on_slurm.submit()
    assert "nothing to submit" in again.out
    assert len(on_slurm.jobs()) == 2


@pytest.mark.usefixtures("either_cluster")
def test_waiting_jobs_are_left_alone_and_cancel_takes_no_others(
    sweep: Callable[..., SlurmSweep],
) -> None:
    one = sweep("--norms", "bn", "--batch-sizes", "16,32", "launcher.cells_per_job=1", *HELD)
    done = one.submit()
    assert f"submitted job {one.jobs()[0].id[:-2]}: 2 cells in 2 tasks" in done.out, done.err
    assert f"bnrepro status {one.directory}\nbnrepro plot {one.directory}\n" in done.out
    assert {status.state for status in one.states().values()} == {"pending"}
    assert "JobHeldUser" in one.states()["bn-b16-s0"].message
    again = one.submit()
    assert "2 cells are queued or running from before\nnothing to submit\n" in again.out
    refused = one.submit(launcher="local")
    assert refused.code == 2
    assert "bnrepro cancel" in refused.err
    other = sweep("--norms", "gn", "--batch-sizes", "16", *HELD, directory="other")
    assert other.submit().code == 0
    assert call("cancel", str(one.directory)).code == 0
    until(lambda: not one.alive())
    assert len(other.alive()) == 1
    until(lambda: one.state("bn-b16-s0") == one.state("bn-b32-s0") == "cancelled", 60)
    assert "none of its jobs" in call("cancel", str(one.directory)).out
    third = one.submit()
    assert "submitted job" in third.out
    assert one.state("bn-b16-s0") == "pending"


@pytest.mark.usefixtures("either_cluster")
def test_cancelled_and_killed_tasks_are_submitted_again_and_go_on(
    tmp_path: Path, sweep: Callable[..., SlurmSweep]
) -> None:
    runs = WaitingRuns(tmp_path / "waiting")
    one = sweep(*runs.arguments, "--batch-sizes", "16,32", "launcher.cells_per_job=1")
    assert one.submit().code == 0
    cancelled, killed = ("waits-b16-s0", "waits-b32-s0")
    job = {cell: job.id for job in one.jobs() for cell in job.cells}
    until(lambda: runs.process(16))
    slurm("scancel", job[cancelled])
    until(lambda: runs.process(32))
    assert one.state(killed) == "running"
    assert "to its time limit" in one.states()[killed].message
    os.kill(int(runs.process(32) or 0), signal.SIGKILL)
    until(lambda: not one.alive())
    until(lambda: (one.state(cancelled), one.state(killed)) == ("cancelled", "failed"), 60)
    done = one.submit("--wait")
    assert done.code == 0, done.err
    assert len(one.jobs()) == 4
    for cell, size in ((cancelled, 16), (killed, 32)):
        assert record(one.cell(cell)) == runs.undisturbed(tmp_path / cell, size)


def test_signal_before_the_time_limit_saves_and_requeues_to_equal_metrics(
    tmp_path: Path, sweep: Callable[..., SlurmSweep]
) -> None:
    runs = WaitingRuns(tmp_path / "waiting")
    one = sweep(*runs.arguments, "--batch-sizes", "16")
    assert one.submit().code == 0
    until(lambda: runs.process(16))
    (job,) = one.jobs()
    slurm("scancel", "--signal=USR2", job.id)
    until(lambda: slurm("squeue", "-h", "-j", job.id, "-o", "%T %r") == "PENDING BeginTime")
    assert one.state("waits-b16-s0") == "pending"
    assert "nothing to submit" in one.submit().out
    until(lambda: one.state("waits-b16-s0") == "completed")
    assert "all is saved" in (one.directory / job.log).read_text()
    assert record(one.cell("waits-b16-s0")) == runs.undisturbed(tmp_path / "undisturbed", 16)
    assert len(one.jobs()) == 1


def test_two_processes_share_the_workers_of_a_cell(tmp_path: Path, sweep: Callable[..., SlurmSweep]) -> None:
    protocol = ("protocol=workers", "protocol.workers=4")
    one = sweep(*protocol, "--norms", "bn", "--batch-sizes", "4", "launcher.tasks_per_node=2")
    done = one.submit("--wait")
    assert done.code == 0, done.err
    tiny_run(tmp_path / "alone", *protocol, "norm=bn", "batch_size=4")
    together, alone = record(one.cell("bn-b4-s0")), record(tmp_path / "alone")
    assert together["metrics"][-1]["loss"] == pytest.approx(alone["metrics"][-1]["loss"], rel=1e-4)
    assert together["result"]["workers"] == 4


def test_seeds_in_lockstep_give_the_local_launchers_table(
    tmp_path: Path, sweep: Callable[..., SlurmSweep]
) -> None:
    axes = ("--norms", "bn", "--batch-sizes", "16", "--seeds", "0,1,2", "--lockstep", "2")
    on_slurm, local = sweep(*axes), sweep(*axes, directory="local")
    done = on_slurm.submit("launcher.cells_per_job=2", "--wait")
    assert done.code == 0, done.err
    assert local.submit(launcher="local").code == 0
    pd.testing.assert_frame_equal(table(on_slurm.directory), table(local.directory))
    (job,) = on_slurm.jobs()
    log = (on_slurm.directory / job.log).read_text()
    assert "bn-b16-s0 + bn-b16-s1, bn-b16-s2" in log


def test_refusal_by_slurm_is_one_line_and_leaves_nothing(sweep: Callable[..., SlurmSweep]) -> None:
    one = sweep("--norms", "bn", "--batch-sizes", "16")
    refused = one.submit("--partition", "no such one")
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith("bnrepro: sbatch refuses: ")
    assert one.jobs() == []
    assert list((one.directory / "slurm").iterdir()) == []


def test_machine_without_slurm_tells_from_the_files(
    sweep: Callable[..., SlurmSweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sweep("--norms", "bn", "--batch-sizes", "16", *HELD)
    assert one.submit().code == 0
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PATH", "")
        shown = call("status", str(one.directory))
        assert "1 pending" in shown.out
        assert "from the files alone: there is no squeue on this machine" in shown.out
        assert "no squeue" in call("cancel", str(one.directory)).err
