"""`slurm.json`: which job has which cells. Imports neither torch nor submitit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bnrepro.config.errors import Damaged
from bnrepro.rundir import schema
from bnrepro.rundir.files import write_json
from bnrepro.rundir.reading import MIB, read_json

FILE = "slurm.json"
FOLDER = "slurm"
"""submitit's files and the logs, in the sweep directory."""
MOST_BYTES = 64 * MIB
FIELDS = {"schema": schema.one_of((1,)), "jobs": schema.list_of(schema.group())}
JOB_FIELDS = {
    "id": schema.matching(r"\d+(_\d+)?", "a job id of Slurm"),
    "script": schema.name(),
    "cells": schema.list_of(schema.name()),
}


@dataclass(frozen=True)
class Job:
    """A task of an array, with its cells in the order in which it runs them."""

    id: str
    """`17_3`; `17` where the array would have one task."""
    script: str
    """Name of the file that sbatch was given: with the id it tells our job from another cluster's."""
    cells: tuple[str, ...]

    @property
    def array(self) -> str:
        return self.id.split("_")[0]

    @property
    def log(self) -> str:
        return f"{FOLDER}/{self.id}_0_log.out"


def read_jobs(directory: Path) -> list[Job]:
    """Every job that was ever submitted for a sweep, the newest last; none where there is no file."""
    path = directory / FILE
    try:
        jobs = schema.check(path, read_json(path, MOST_BYTES), FIELDS)["jobs"]
        for place, job in enumerate(jobs):
            schema.check(path, job, JOB_FIELDS, where=f"jobs[{place}].")
    except FileNotFoundError:
        return []
    except Damaged as error:
        raise Damaged(f"{error}; cancel its jobs and remove it") from error
    return [Job(job["id"], job["script"], tuple(job["cells"])) for job in jobs]


def add_jobs(directory: Path, jobs: Sequence[Job]) -> None:
    everything = [*read_jobs(directory), *jobs]
    write_json(directory / FILE, {"schema": 1, "jobs": [asdict(job) for job in everything]})


def owners(jobs: Sequence[Job]) -> dict[str, Job]:
    """Cell -> the job that has it: the newest. An older one that comes back to life leaves it alone."""
    return {cell: job for job in jobs for cell in job.cells}
