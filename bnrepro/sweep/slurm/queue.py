"""What Slurm says of a sweep's jobs: one squeue for all of them, one sacct where that is not enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.sweep.slurm.jobs import Job

ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT"),
)
AT_WORK = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT")
SECONDS = 60.0


class NoAnswer(UsageError):
    """Slurm is not here, or does not answer: nothing is known about the jobs."""


@dataclass(frozen=True)
class Queued:
    """A job in the queue."""

    state: str
    reason: str
    time_left: str
    """To its time limit, as Slurm writes it: `1-02:03:04`."""
    user: str
    """The number of the user whose job it is."""
    script: Path
    """As sbatch was given it."""

    @property
    def alive(self) -> bool:
        return self.state not in ENDED

    @property
    def at_work(self) -> bool:
        return self.state in AT_WORK


def look(jobs: Sequence[Job]) -> dict[str, Queued]:
    """Job id -> how it stands, of those that Slurm still has. Raises `NoAnswer`.

    An array that was cancelled before any task of it began stands there as a whole.
    """
    if not jobs:
        return {}
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={_arrays(jobs)}"]
    done = _call([*command, "--format=%i|%T|%r|%L|%U|%o"])
    if done.returncode != 0:
        if "Invalid job id specified" in done.stderr:  # it has forgotten all of them
            return {}
        raise NoAnswer(f"squeue: {_last_line(done.stderr)}")
    scripts = {id_: job.script for job in jobs for id_ in (job.array, job.id)}
    found = {}
    for line in done.stdout.splitlines():
        job, state, reason, left, user, script = line.strip().split("|", 5)
        # another job may have the id: Slurm starts over where its state was lost, or on another cluster
        if job in scripts and Path(script).name == scripts[job]:
            found[job] = Queued(state, reason, left, user, Path(script))
    return found


def ended_states(jobs: Sequence[Job]) -> dict[str, str]:
    """Job id -> its last state, from the accounting; empty where there is none."""
    if not jobs or shutil.which("sacct") is None:
        return {}
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State"]
    try:
        done = _call([*command, f"--jobs={_arrays(jobs)}"])
    except NoAnswer:
        return {}
    lines = (line.split("|") for line in done.stdout.splitlines())
    return {fields[0]: fields[1].split()[0] for fields in lines if len(fields) == 2 and fields[1]}


def most_tasks() -> int | None:
    """How many tasks an array of this cluster may have; None where it does not say."""
    try:
        done = _call(["scontrol", "show", "config"])
    except NoAnswer:
        return None
    said = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return int(said[1]) if said else None


def cancel(jobs: Iterable[str]) -> None:
    """Raises `NoAnswer` where Slurm refuses."""
    done = _call(["scancel", *jobs])
    if done.returncode != 0:
        raise NoAnswer(f"scancel: {_last_line(done.stderr)}")


def _arrays(jobs: Sequence[Job]) -> str:
    return ",".join(dict.fromkeys(job.array for job in jobs))


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        raise NoAnswer(f"there is no {command[0]} on this machine")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, errors="replace")
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{command[0]} does not answer within {SECONDS:.0f} s") from None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it fails without a word"
