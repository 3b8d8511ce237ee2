"""A claim would be judged on runs that are not its own, or on those that happened not to fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import TINY
from written_runs import write_completed

from bnrepro.claims.experiment import SEARCH_SEEDS, Experiment
from bnrepro.claims.found import Found
from bnrepro.config.errors import UsageError
from bnrepro.rundir.result import write_result
from bnrepro.sweep.directory import write_sweep
from bnrepro.sweep.plan import sweep_json
from bnrepro.sweep.prepare import prepare_sweep
from bnrepro.training.outcome import failed_result

OVERRIDES = tuple(override for override in TINY if not override.startswith("batch_size="))
EXPERIMENT = Experiment("one", "digits", ("bn",), (16, 32), seeds=2, overrides=OVERRIDES, search=True)


def write(directory: Path, first_seed: int, failed: tuple[str, ...] = ()) -> Found:
    """Every run of a call with these judging seeds; the error in percent is the seed."""
    plan, _ = prepare_sweep(EXPERIMENT.all_overrides(), EXPERIMENT.axes(first_seed))
    write_sweep(directory, sweep_json(plan))
    for cell in plan.cells:
        if cell.id in failed:
            cell.directory(directory).mkdir(parents=True, exist_ok=True)
            write_result(cell.directory(directory), failed_result(cell.config, "the worker process ended"))
        else:
            error = cell.config.seed % 100 + cell.config.batch_size
            write_completed(cell.directory(directory), cell.config, {"running": float(error)})
    return Found(EXPERIMENT, directory, first_seed)


def test_fresh_seeds_are_judged_alone_whatever_lies_beside_them(tmp_path: Path) -> None:
    """A replication in the same directory counted the first call's seeds once more."""
    first = write(tmp_path, 100)
    assert first.errors("bn", 16) == {100: 16.0, 101: 17.0}
    fresh = write(tmp_path, 200)
    assert fresh.seeds() == [200, 201]
    assert fresh.errors("bn", 16) == {200: 16.0, 201: 17.0}
    assert fresh.seeds(search=True) == [*SEARCH_SEEDS]
    assert Found(EXPERIMENT, tmp_path, 100).seeds() == [100, 101]


def test_a_call_does_not_wait_for_the_runs_of_another(tmp_path: Path) -> None:
    write(tmp_path, 100)
    fresh = write(tmp_path, 200)
    (tmp_path / "cells" / "bn-b16-s100" / "result.json").unlink()
    assert fresh.seeds() == [200, 201]
    with pytest.raises(UsageError, match="cell bn-b16-s100 has no result yet"):
        Found(EXPERIMENT, tmp_path, 100).seeds()


def test_a_value_is_not_chosen_because_its_bad_runs_failed(tmp_path: Path) -> None:
    """Seed 0 alone, at 16, would be the best of all means."""
    found = write(tmp_path, 100, failed=tuple(f"bn-b16-s{seed}" for seed in SEARCH_SEEDS[1:]))
    assert found.best_value("bn") == 32
    assert found.failures("bn", 16) == dict.fromkeys(SEARCH_SEEDS[1:], "the worker process ended")
