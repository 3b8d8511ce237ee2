"""`slurm.json`: which job has which cells. Imports neither torch nor submitit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bnrepro.config.errors import UsageError
from bnrepro.rundir.files import write_json

FILE = "slurm.json"
FOLDER = "slurm"
"""submitit's files and the logs, in the sweep directory."""


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
        jobs = json.loads(path.read_text(encoding="utf-8"))["jobs"]
        return [Job(job["id"], job["script"], tuple(job["cells"])) for job in jobs]
    except FileNotFoundError:
        return []
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: cannot be understood ({error!r}); cancel its jobs and remove it"
        ) from error


def add_jobs(directory: Path, jobs: Sequence[Job]) -> None:
    everything = [*read_jobs(directory), *jobs]
    write_json(directory / FILE, {"schema": 1, "jobs": [asdict(job) for job in everything]})


def owners(jobs: Sequence[Job]) -> dict[str, Job]:
    """Cell -> the job that has it: the newest. An older one that comes back to life leaves it alone."""
    return {cell: job for job in jobs for cell in job.cells}
