"""The processes of one run: which there are, and how they exchange numbers.

`workers = world size × groups per process`: each process takes its share of every SGD batch, whole workers at
a time, so the number of processes changes only rounding.
"""

from __future__ import annotations

import gc
import os
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bnrepro.config.errors import UsageError
from bnrepro.norms.batch_statistics import buffers_of_kind
from bnrepro.norms.processes import average_over_processes
from bnrepro.training.batch_sizes import BatchSizes

T = TypeVar("T")
TIMEOUT = timedelta(minutes=10)
"""A process that waits longer than this for another one gives up with an error instead of hanging."""


@dataclass(frozen=True)
class World:
    """The processes of a run; the default is one process alone."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """The one process that writes."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part: every item belongs to exactly one process."""
        return items[self.rank :: self.size]

    def positions(self, first: int, last: int, sgd_batch_size: int) -> slice | Tensor:
        """Positions in the epoch of this process's part of the steps `first` to `last`.

        Contiguous within each SGD batch: images 0 … n−1 are worker 0's.
        """
        if self.size == 1:
            return slice(first * sgd_batch_size, last * sgd_batch_size)
        local = sgd_batch_size // self.size
        batches = torch.arange(first * sgd_batch_size, last * sgd_batch_size).view(-1, sgd_batch_size)
        return batches[:, self.rank * local : (self.rank + 1) * local].flatten()

    def sum_(self, *tensors: Tensor) -> None:
        """Replace each by its sum over the processes."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def mean_(self, *tensors: Tensor) -> None:
        """Replace each by its mean over the processes."""
        if self.size > 1:
            average_over_processes(*tensors)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag: true in every process if it is true in one, so that all of them decide alike."""
        if self.size == 1:
            return flags
        raised = torch.tensor(flags, dtype=torch.int32)
        if dist.get_backend() == "nccl":
            raised = raised.cuda()
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in raised.tolist())

    def explain(self, error: Exception) -> str:
        """What ended the run, as a message. gloo and NCCL do not say clearly that another process is gone."""
        text = f"{type(error).__name__}: {error}"
        if self.size > 1 and (isinstance(error, dist.DistError) or "gloo" in text):
            return (
                "another process of this run ended or does not answer: what it printed says why, and the "
                f"same command continues from the last checkpoint ({text})"
            )
        return text

    def check(self, sizes: BatchSizes) -> None:
        """Raises `UsageError` where the processes cannot share the protocol's workers evenly."""
        if sizes.workers % self.size:
            raise UsageError(
                f"{self.size} processes cannot share {sizes.workers} workers evenly; start a number of "
                "processes that divides the protocol's workers (coupled has one)"
            )

    def check_norms(self, model: nn.Module) -> None:
        """Raises `UsageError` for a norm whose statistics several processes cannot bring together."""
        if self.size > 1 and buffers_of_kind(model, "windows"):
            raise UsageError(
                f"{self.size} processes: this norm keeps a window over the groups of all workers in their "
                "order, which they do not share; train it in one process"
            )

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over the processes.

        Buffers are not broadcast: each process's running statistics see its own workers, and
        `average_buffers` brings them together.
        """
        if self.size == 1:
            return model
        with warnings.catch_warnings():
            # torch 2.15 renames the argument; its new name does not exist in the versions we support
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def unsynced(self, parallel: nn.Module) -> Callable[[], AbstractContextManager[None]]:
        """Makes the block in which `parallel`'s gradients are not averaged yet."""
        if isinstance(parallel, nn.parallel.DistributedDataParallel):
            return parallel.no_sync
        return nullcontext

    def average_buffers(self, model: nn.Module) -> None:
        """Set the running statistics to the mean over the processes.

        The moving average is linear: averaging now and then gives what one process with all the workers has.
        """
        self.mean_(*buffers_of_kind(model, "averages"))

    def gather_buffers(self, model: nn.Module) -> Tensor | None:
        """Every process's running statistics, `(size, values)`; None for one process or no statistics.

        A checkpoint within an epoch must keep them apart: averaging there would make the rounding depend on
        when it was written.
        """
        averages = buffers_of_kind(model, "averages")
        if self.size == 1 or not averages:
            return None
        flat = torch.cat([buffer.flatten() for buffer in averages])
        rows = [torch.empty_like(flat) for _ in range(self.size)]
        dist.all_gather(rows, flat)
        return torch.stack(rows)

    def scatter_buffers(self, model: nn.Module, rows: Tensor | None) -> None:
        """Give each process its own statistics back, or their mean where the number of processes changed."""
        if rows is None:
            return
        flat = rows[self.rank] if len(rows) == self.size else rows.mean(0)
        buffers = buffers_of_kind(model, "averages")
        for buffer, values in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(values.view_as(buffer))


def environment_of_processes(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Rank, size and meeting point from torchrun or a Slurm step; None for one process."""
    if int(environment.get("WORLD_SIZE", "1")) > 1 and "RANK" in environment:
        return {key: environment[key] for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    # SLURM_NTASKS is set in a batch script too; only `srun` starts several processes
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return {
            "RANK": environment["SLURM_PROCID"],
            "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
            "LOCAL_RANK": environment["SLURM_LOCALID"],
            "MASTER_ADDR": environment.get("MASTER_ADDR") or _first_host(environment["SLURM_STEP_NODELIST"]),
            "MASTER_PORT": environment.get("MASTER_PORT") or _port(environment["SLURM_JOB_ID"]),
        }
    return None


def _first_host(nodes: str) -> str:
    """The first of `node[01-04]`, as `scontrol` spells it out."""
    if "[" not in nodes and "," not in nodes:
        return nodes
    listed = subprocess.run(
        ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()[0]


def _port(job: str) -> str:
    """The same port in all tasks of a job, and another one for its neighbour on the node."""
    return str(20000 + int(job) % 20000)


@contextmanager
def processes_of_run() -> Iterator[World]:
    """Join the other processes of this run, if it has any: NCCL on GPUs, gloo on CPUs.

    The group's threads end here: one that still frees a tensor while Python ends aborts the process, and a
    run whose result is written would count as failed.
    """
    found = environment_of_processes(os.environ)
    if found is None:
        yield World()
        return
    # DistributedDataParallel imports this module, whose defaults would then keep the group alive: import it
    # before there is a group
    import torch.distributed.nn

    os.environ.update(found)
    local_rank = int(found["LOCAL_RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
        dist.init_process_group("nccl", timeout=TIMEOUT)
    else:
        dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield World(int(found["RANK"]), int(found["WORLD_SIZE"]))
    finally:
        dist.destroy_process_group()
        gc.collect()  # DistributedDataParallel is a cycle, and holds the group
