"""Sweeps that leave nothing in the queue, on Slurm with and without accounting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_sweep import SlurmSweep, slurm, until


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Callable[..., SlurmSweep]]:
    """Makes a sweep that leaves nothing in the queue."""
    made: list[SlurmSweep] = []

    def make(*arguments: str, directory: str = "sweep") -> SlurmSweep:
        made.append(SlurmSweep(tmp_path / directory, arguments))
        return made[-1]

    yield make
    for one in made:
        if alive := one.alive():
            slurm("scancel", *alive)
            until(lambda one=one: not one.alive())


@pytest.fixture(params=["without accounting", "with accounting"])
def either_cluster(request: pytest.FixtureRequest) -> None:
    """Slurm with and without sacct."""
    if request.param == "with accounting":
        request.getfixturevalue("accounting")
