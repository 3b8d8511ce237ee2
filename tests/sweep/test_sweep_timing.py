"""The overhead that a sweep reports of itself."""

from pathlib import Path

import pytest
from tiny_runs import call

from bnrepro.sweep.timing import Timing


def test_a_sweep_of_nothing_but_steps_and_evaluation_has_no_overhead() -> None:
    results = [
        {"train_seconds": 60.0, "evaluation_seconds": 6.0},
        {"train_seconds": 40.0, "evaluation_seconds": 4.0},
    ]
    timing = Timing.of(results, jobs=2, wall_seconds=55.0)
    assert timing.overhead == pytest.approx(1.0)
    assert "55 s with 2 jobs" in timing.describe()


def test_waiting_for_the_last_cell_is_overhead() -> None:
    assert Timing(jobs=2, wall_seconds=75.0, train_seconds=100.0, evaluation_seconds=10.0).overhead == 1.4


def test_a_sweep_that_only_failed_has_no_ratio() -> None:
    timing = Timing.of([{"status": "failed"}], jobs=1, wall_seconds=1.0)
    assert timing.describe() == "1 s with 1 job"


@pytest.mark.slow
def test_a_sweep_ends_with_where_its_time_went(tmp_path: Path) -> None:
    command = ("sweep", "batch-size", "data.train_subset=64", "epochs=1", "evaluation.precise_images=32")
    command += ("--norms", "gn", "--batch-sizes", "32", "--jobs", "1", "--out", str(tmp_path / "sweep"))
    first, again = call(*command), call(*command)
    assert "× steps / jobs" in first.out, first.err
    assert "× steps / jobs" not in again.out
