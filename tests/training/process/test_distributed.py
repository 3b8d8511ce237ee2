"""Several processes must train the same as one: else the number of GPUs would be part of every result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import processes_of_a_run
from tiny_runs import call, image_folder
from torch._subclasses.fake_tensor import FakeTensorMode

from bnrepro.config.errors import UsageError
from bnrepro.norms import build_norm
from bnrepro.training.batch_sizes import BatchSizes
from bnrepro.training.process.distributed import World, environment_of_processes

TINY = ["data.train_subset=128", "protocol=workers", "batch_size=2", "epochs=2", "tensorboard=false"]
TINY += ["evaluation.statistics=[running,precise,batch]", "data.root=null"]
# At the default rate two images per normalization batch make 2e-4 of a rounding in 16 steps, on some CPUs.
TINY += ["optimizer.base_lr=0.1"]
LONGER = ["data.train_subset=512", "protocol=workers", "batch_size=1", "epochs=3", "tensorboard=false"]
LONGER += ["checkpoint.every_minutes=0.0005"]
STREAMED = ["data=image_stream", "model=resnet8", "protocol=workers", "batch_size=2", "epochs=6"]
STREAMED += ["data.train_subset=16", "data.stream.crop_size=16", "data.stream.resize_size=18"]
STREAMED += ["data.stream.workers=1", "optimizer.base_lr=1", "evaluation.every=1", "tensorboard=false"]
STREAMED += ["evaluation.statistics=[running,batch]", "evaluation.batch_size=4"]


def torchrun(processes: int, out: Path, *overrides: str) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "bnrepro", "train", *overrides, "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(processes: int, out: Path, *overrides: str) -> None:
    """As torchrun would, without the seconds in which each process loads torch."""
    arguments = ("train", *overrides, "--out", str(out))
    if processes == 1:
        ended = call(*arguments)
        assert ended.code == 0, ended.err
        return
    programs = processes_of_a_run(processes, *arguments)
    said = [program.communicate() for program in programs]
    assert [program.returncode for program in programs] == [0] * processes, said


def workers_at_work(out: Path) -> list[int]:
    """The two processes that train in `out`, once there is a checkpoint to lose."""
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = [int(process.name) for process in Path("/proc").glob("[0-9]*") if _trains_in(process, out)]
    assert len(workers) == 2
    return workers


def _trains_in(process: Path, out: Path) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return str(out) in arguments and "torch.distributed.run" not in arguments


THREADS = """
import sys
from pathlib import Path
from torch import nn, ones
from bnrepro.training.process.distributed import processes_of_run

def threads():
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]

def step(world):
    world.parallel(nn.Linear(3, 1))(ones(2, 3)).sum().backward()

with processes_of_run() as world:
    step(world)
    assert threads(), "nothing to show"
sys.exit(f"left: {threads()}" if threads() else 0)
"""


def metrics(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def without_times(line: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in line.items() if not k.endswith(("_seconds", "_per_second", "memory_bytes"))}


@pytest.mark.slow
def test_two_and_four_processes_train_as_one(tmp_path: Path) -> None:
    for processes in (1, 2, 4):
        train(processes, tmp_path / str(processes), *TINY)
    alone = metrics(tmp_path / "1")
    kept = torch.load(tmp_path / "1" / "checkpoint.pt", weights_only=True)["model"]
    for processes in (2, 4):
        together = metrics(tmp_path / str(processes))
        assert [m["step"] for m in together] == [m["step"] for m in alone]
        # 8 steps: far enough to show a wrong share, near enough that rounding has not grown
        for one, several in zip(alone, together, strict=True):
            assert several["loss"] == pytest.approx(one["loss"], rel=1e-4)
            assert several["error"] == pytest.approx(one["error"], abs=2.0)
        state = torch.load(tmp_path / str(processes) / "checkpoint.pt", weights_only=True)["model"]
        for name in ("norm.running_mean", "norm.running_var", "conv.weight"):
            torch.testing.assert_close(state[name], kept[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_eight_streamed_workers_train_the_same_on_one_two_and_four_processes(tmp_path: Path) -> None:
    """The ImageNet figure must not depend on how many GPUs somebody has."""
    root = image_folder(tmp_path / "photos", size=24, per_class=11, suffix="jpg")
    for processes in (1, 2, 4):
        out, cache = tmp_path / str(processes), tmp_path / "cache"
        train(processes, out, *STREAMED, f"data.root={root}", f"data.cache_dir={cache}")
    alone = metrics(tmp_path / "1")
    assert [line["step"] for line in alone] == [1, 2, 3, 4, 5, 6]  # a line's loss is that of one step
    for processes in (2, 4):
        together = metrics(tmp_path / str(processes))
        losses = [line["loss"] for line in together]
        assert losses == pytest.approx([line["loss"] for line in alone], rel=1e-5)
        # 22 images in batches of 4: the processes have unequal parts, and no image counts twice
        assert [line["error"] for line in together] == [line["error"] for line in alone]


def test_no_thread_of_the_process_group_is_left_to_abort_a_run_that_is_over(tmp_path: Path) -> None:
    script = tmp_path / "threads.py"
    script.write_text(THREADS)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*launcher, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_killed_process_group_continues_to_the_same_metrics(tmp_path: Path) -> None:
    train(2, tmp_path / "whole", *LONGER)
    killed = torchrun(2, tmp_path / "killed", *LONGER)
    for worker in workers_at_work(tmp_path / "killed"):
        os.kill(worker, signal.SIGKILL)
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "killed" / "result.json").exists(), "killed too late to show anything"
    train(2, tmp_path / "killed", *LONGER)
    assert [without_times(m) for m in metrics(tmp_path / "killed")] == [
        without_times(m) for m in metrics(tmp_path / "whole")
    ]


@pytest.mark.slow
def test_a_lost_process_ends_the_others_with_a_message(tmp_path: Path) -> None:
    out = tmp_path / "lost"
    process = torchrun(2, out, *LONGER, "epochs=200")
    os.kill(max(workers_at_work(out)), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "another process of this run ended or does not answer" in output


def test_shares_cover_every_item_once() -> None:
    worlds = [World(rank, 3) for rank in range(3)]
    assert sorted(i for world in worlds for i in world.share(range(10))) == list(range(10))


def test_positions_are_contiguous_within_each_sgd_batch() -> None:
    positions = World(1, 2).positions(2, 4, 8)
    assert isinstance(positions, torch.Tensor)
    assert positions.tolist() == [20, 21, 22, 23, 28, 29, 30, 31]
    assert World().positions(2, 4, 8) == slice(16, 32)


def test_workers_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(UsageError, match="3 processes cannot share 8 workers"):
        World(0, 3).check(BatchSizes(8, 32, 4))


def test_a_norm_with_a_window_over_all_workers_is_refused() -> None:
    """Each process would average over its own groups: another norm than in one process, without a word."""
    with pytest.raises(UsageError, match=r"2 processes: this norm keeps a window .* train it in one process"):
        World(0, 2).check_norms(build_norm("mabn", 1))
    World(0, 2).check_norms(build_norm("brn", 1))
    World().check_norms(build_norm("mabn", 1))


def test_buffers_return_to_their_process_and_are_averaged_for_another_number() -> None:
    model = build_norm("bn", 1)
    rows = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    World(1, 2).scatter_buffers(model, rows)
    assert (model.running_mean.item(), model.running_var.item()) == (3.0, 30.0)
    World().scatter_buffers(model, rows)
    assert (model.running_mean.item(), model.running_var.item()) == (2.0, 20.0)


@pytest.mark.parametrize(("norm", "calls"), [("bn", 1), ("gn", 0)])
def test_a_checkpoint_gathers_from_gpus_what_lies_there_and_nothing_else(monkeypatch, norm, calls):
    """NCCL ends a run that gathers a tensor of the CPU. torch's fake tensors have a device and no values."""
    gathered = []
    monkeypatch.setattr("torch.distributed.all_gather", lambda rows, own: gathered.extend([*rows, own]))
    with FakeTensorMode(), torch.device("cuda"):
        rows = World(0, 2).gather_buffers(build_norm(norm, 32))
    assert [tensor.device.type for tensor in gathered] == ["cuda"] * 3 * calls
    assert (rows is None) == (norm == "gn")


def test_processes_are_found_in_torchruns_and_slurms_environment() -> None:
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert environment_of_processes(torchrun) == {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}
    step |= {"SLURM_STEP_NODELIST": "n1", "SLURM_JOB_ID": "7"}
    found = environment_of_processes(step)
    assert found is not None
    assert (found["MASTER_ADDR"], found["MASTER_PORT"], found["RANK"]) == ("n1", "20007", "1")
    # a batch script that was given two tasks is still one process
    assert environment_of_processes({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}) is None
    assert environment_of_processes({}) is None
