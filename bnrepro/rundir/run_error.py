"""Which evaluations there are, and the one number that a run is known by. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

LAST_PART = 0.05
MOST = 5


def final_evaluations(epochs: int) -> int:
    """How many of the last epochs are behind a run's error: 5 % of them, from one to five.

    Epochs 96–100 of 100, as Wu & He 2018 (§4.1) report; the last one of a short run.
    """
    return min(MOST, max(1, int(LAST_PART * epochs + 1e-9)))


def is_final(epoch: int, epochs: int) -> bool:
    """Does the evaluation after `epoch` (from 1) enter the run's error?"""
    return epoch > epochs - final_evaluations(epochs)


def evaluation_due(epoch: int, epochs: int, every: int) -> bool:
    """Is there an evaluation after `epoch` (from 1)?"""
    return is_final(epoch, epochs) or (every > 0 and epoch % every == 0)


def evaluated_epochs(until: int, epochs: int, every: int) -> list[int]:
    """The epochs, from 1 up to `until`, after which there is an evaluation."""
    return [epoch for epoch in range(1, until + 1) if evaluation_due(epoch, epochs, every)]


def last_errors(metrics: Sequence[Mapping[str, object]], epochs: int) -> dict[str, list[float]]:
    """The evaluations behind the run's error: statistics -> percent, in the order of epochs."""
    errors: dict[str, list[float]] = {}
    for line in metrics:
        if is_final(int(line["epoch"]), epochs):  # type: ignore[call-overload]
            for name, value in line["error"].items():  # type: ignore[attr-defined]
                errors.setdefault(name, []).append(value)
    return errors


def run_error(last: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Median of each: never the best epoch, which would select on the test set."""
    return {name: statistics.median(values) for name, values in last.items()}
