"""Runs in lockstep: a group of cells of one shape, each with its own run directory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bnrepro.config.errors import StorageError, UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.data import Dataset, load_data
from bnrepro.rundir.record import Record, finished_result
from bnrepro.rundir.result import read_result, result_head
from bnrepro.training.lockstep.stacked import Lockstep
from bnrepro.training.outcome import failed_result, record_failure
from bnrepro.training.position import Position
from bnrepro.training.process.device import prepare_device, reset_peak_memory
from bnrepro.training.process.environment import environment
from bnrepro.training.process.interrupt import Interrupted, StopFlag, stop_while_waiting
from bnrepro.training.progress import Report, no_report
from bnrepro.training.run import Run, run
from bnrepro.training.session import Session
from bnrepro.training.trainer import Chunk, Diverged


@dataclass(frozen=True)
class Member:
    """A cell of the group, its run directory, and what its progress is reported to."""

    config: RunConfig
    directory: Path
    report: Report = no_report


def run_group(members: Sequence[Member], *, overrides: Sequence[str], stop: StopFlag) -> list[dict[str, Any]]:
    """Train cells of one shape in lockstep; every one's `result.json`, in their order.

    Means what `run` means for each of them: finished ones are returned as they are, interrupted ones go on
    from their checkpoints. Raises `UsageError`, `StorageError` and `Interrupted` as `run` does; a directory
    that `run` would refuse is a failed result, which is not written, and the others go on.
    """
    if len(members) == 1:
        (one,) = members
        return [run(one.config, one.directory, overrides=overrides, stop=stop, report=one.report)]
    over = [_state(member) for member in members]
    left = [member for member, result in zip(members, over, strict=True) if result is None]
    data = None
    try:
        if left:
            dataset = load_data(left[0].config.data)
            data = dataset.name
            with stop_while_waiting(stop):
                for runs in _by_position(_open(left, dataset, overrides, stop)):
                    _Group(runs).finish()
    except (UsageError, StorageError, Interrupted):
        raise
    except Exception as error:
        _fail(left, error, data, overrides)
    results = [
        result or read_result(member.directory, result_head(member.config))
        for member, result in zip(members, over, strict=True)
    ]
    return [result for result in results if result is not None]


def _state(member: Member) -> dict[str, Any] | None:
    """Its result, if nothing is left to do, or if its directory is refused."""
    try:
        return finished_result(member.directory, member.config)
    except UsageError as error:
        return failed_result(member.config, str(error))


def _open(members: Sequence[Member], dataset: Dataset, overrides: Sequence[str], stop: StopFlag) -> list[Run]:
    device = prepare_device(members[0].config)
    reset_peak_memory(device)
    feeds = dataset.feeds(members[0].config.data, device)
    sessions = [Session.prepare(member.config, dataset, device, feeds=feeds) for member in members]
    runs = []
    for member, session in zip(members, sessions, strict=True):
        record = Record(member.directory, member.config)
        record.open(environment(device) | {"lockstep": len(members)}, overrides)
        runs.append(Run.open(session, record, resume=True, stop=stop, report=member.report))
    return runs


def _by_position(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs at the same step together: a kill between two checkpoints leaves them apart."""

    def step(run: Run) -> tuple[int, int]:
        return run.position.epoch, run.position.step

    return [list(together) for _, together in groupby(sorted(runs, key=step), key=step)]


def _fail(members: Sequence[Member], error: Exception, data: str | None, overrides: Sequence[str]) -> None:
    """What stopped the group is the result of every run that is not over."""
    for member in members:
        if finished_result(member.directory, member.config) is None:
            record_failure(
                Record(member.directory, member.config),
                error,
                f"{type(error).__name__}: {error}",
                environment=environment(prepare_device(member.config)),
                overrides=overrides,
                data=data,
            )


@dataclass
class _Group:
    """Runs at the same step. One that has diverged stays in the stack, and its results are ignored."""

    runs: list[Run]

    def __post_init__(self) -> None:
        self._alive = list(self.runs)

    def finish(self) -> None:
        """Train what is left of all, and write their results."""
        if len(self.runs) == 1:
            self.runs[0].finish()
            return
        with ExitStack() as stack:
            for member in self.runs:
                stack.enter_context(member)
            for member in self.runs:
                member.probe()
            lockstep = Lockstep([member.session for member in self.runs])
            while self._alive and not self._alive[0].trained:
                ends = lockstep.train_epoch(self._positions(), self._pause)
                for member, diverged in zip(self.runs, ends, strict=True):
                    if member in self._alive:
                        self._end_epoch(member, diverged)
            for member in self._alive:
                member.end()

    def _positions(self) -> list[Position]:
        """Where each run is; one that is over gets a position that is thrown away."""
        epoch = self._alive[0].position.epoch
        return [run.position if run in self._alive else Position(epoch) for run in self.runs]

    def _end_epoch(self, member: Run, diverged: Diverged | None) -> None:
        try:
            if diverged:
                raise diverged
            member.end_epoch()
        except Diverged as end:
            member.end(end)
            self._alive.remove(member)

    def _pause(self, chunk: Chunk) -> None:
        """As a run's own, but all are saved at the same step."""
        for member in self._alive:
            member.note(chunk)
            member.probe()
        stop = self._alive[0].stop.wanted
        if stop or self._alive[0].save_due():
            for member in self._alive:
                member.save()
        if stop:
            raise Interrupted
