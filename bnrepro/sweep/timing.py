"""Where the wall clock of a sweep went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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

        Start-up, data, checkpoints, TensorBoard and waiting for the last cell are what lies above 1.
        """
        if not self.train_seconds:
            return float("nan")
        return (self.wall_seconds * self.jobs - self.evaluation_seconds) / self.train_seconds

    def describe(self) -> str:
        """One line."""
        share = (
            f"; wall clock less evaluation: {self.overhead:.2f} × steps / jobs" if self.train_seconds else ""
        )
        return (
            f"{clock(self.wall_seconds)} with {self.jobs} jobs; summed over the cells: training steps "
            f"{clock(self.train_seconds)}, evaluation {clock(self.evaluation_seconds)}{share}"
        )
