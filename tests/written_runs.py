"""Sweep directories and results as the program writes them, without the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnrepro.config.schema import RunConfig
from bnrepro.rundir.result import write_result
from bnrepro.rundir.run_error import final_evaluations
from bnrepro.sweep.directory import write_sweep
from bnrepro.sweep.plan import Axes, Plan, plan_sweep, sweep_json
from bnrepro.training.outcome import failed_result


def write_plan(
    directory: Path,
    *overrides: str,
    norms: Sequence[str] = ("bn",),
    sizes: Sequence[int] = (4,),
    seeds: Sequence[int] = (0,),
    images: int = 1437,
) -> Plan:
    """A sweep of digits over batch sizes, none of whose cells has begun."""
    plan = plan_sweep(overrides, Axes(tuple(norms), tuple(sizes), tuple(seeds)), images)
    directory.mkdir(parents=True, exist_ok=True)
    write_sweep(directory, sweep_json(plan))
    return plan


def write_completed(directory: Path, config: RunConfig, error: Mapping[str, float], **fields: Any) -> None:
    """The `result.json` of a run that is over. `fields` replace what else stands there."""
    last = {name: [value] * final_evaluations(config.epochs) for name, value in error.items()}
    result = failed_result(config, "") | {"status": "completed", "error": dict(error), "last_errors": last}
    result |= {
        "wall_seconds": 61.5,
        "images_per_second": 812.4,
        "train_error": 33.25,
        "data": "digits",
        "peak_memory_bytes": 314572800,
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_result(directory, result | fields)
