"""Finished experiments that nobody ran: what a criterion sees, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bnrepro.claims.experiment import SEARCH_SEEDS, Experiment

JUDGING = (100, 101, 102, 103, 104)
WOBBLE = dict(zip(JUDGING, (0.2, -0.2, 0.1, -0.1, 0.0), strict=True))
"""What the seeds differ by."""


@dataclass(frozen=True, eq=False)
class MadeUp:
    """In place of `Found`: `error(norm, x)` is a mean, `curve(norm, x)` the errors after 10, 20 … steps."""

    experiment: Experiment
    error: Callable[[str, float], float] = lambda norm, x: 5.0
    curve: Callable[[str, float], list[float]] = lambda norm, x: []
    status: Callable[[str, float], str] = lambda norm, x: "completed"
    spread: Callable[[float], float] = lambda x: 1.0
    looks: dict[str, Any] = field(default_factory=dict)
    wobble: float = 1.0
    message: str = ""
    """Of the runs that failed."""
    steps: int = 400

    def seeds(self, *, search: bool = False) -> list[int]:
        return list(SEARCH_SEEDS if search else JUDGING)

    def errors(
        self, norm: str, x: float, statistics: str = "running", *, search: bool = False
    ) -> dict[int, float]:
        mean = self.error(norm, x)
        if search:
            return dict.fromkeys(SEARCH_SEEDS, mean)
        return {seed: mean + self.wobble * own for seed, own in WOBBLE.items()}

    def statuses(self, norm: str, x: float) -> dict[int, str]:
        return dict.fromkeys((*SEARCH_SEEDS, *JUDGING), self.status(norm, x))

    def failures(self, norm: str, x: float) -> dict[int, str]:
        return dict.fromkeys(JUDGING, self.message) if self.status(norm, x) == "failed" else {}

    def best_value(self, norm: str, statistics: str = "running") -> float:
        return min(self.experiment.values, key=lambda x: (self.error(norm, x), x))

    def metrics(self, norm: str, x: float, seed: int) -> list[dict[str, Any]]:
        lines = enumerate(self.curve(norm, x), 1)
        noise = {"layers": {"norm": {"spread_mean": self.spread(x) * (1 + 0.01 * WOBBLE.get(seed, 0.0))}}}
        return [{"step": 10 * i, "error": {"running": error}, **noise} for i, error in lines]

    def probes(self, norm: str, x: float, seed: int) -> list[dict[str, Any]]:
        return [self.looks]
