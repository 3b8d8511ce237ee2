"""Where the wall clock of a sweep went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bnrepro.rundir.describe import counted
from bnrepro.training.progress import clock


@dataclass(frozen=True)
class Timing:
    """One call of a sweep whose cells all ran from start to end in it."""

    jobs: int
    wall_seconds: float
    train_seconds: float
    """Sum over the cells: training steps and nothing else."""
    evaluation_seconds: float
    """Sum over the cells."""

    @classmethod
    def of(cls, results: Iterable[Mapping[str, Any]], jobs: int, wall_seconds: float) -> Timing:
        """From the `result.json` of the call's cells; one that failed counts as overhead."""
        done = list(results)
        train, evaluation = (
            sum(result.get(key, 0.0) for result in done) for key in ("train_seconds", "evaluation_seconds")
        )
        return cls(jobs, wall_seconds, train, evaluation)

    @property
    def overhead(self) -> float:
        """Wall clock less evaluation, over the steps' share of it: 1 is a sweep of nothing but steps.

        Start-up, data, checkpoints, TensorBoard and waiting for the last cell are what lies above 1. Raises
        ZeroDivisionError where no cell has taken a step.
        """
        return (self.wall_seconds * self.jobs - self.evaluation_seconds) / self.train_seconds

    def describe(self) -> str:
        """One line."""
        wall = f"{clock(self.wall_seconds)} with {counted(self.jobs, 'job')}"
        if not self.train_seconds:  # every cell failed
            return wall
        train, evaluation = clock(self.train_seconds), clock(self.evaluation_seconds)
        return (
            f"{wall}; summed over the cells: training steps {train}, evaluation {evaluation}; "
            f"wall clock less evaluation: {self.overhead:.2f} × steps / jobs"
        )
