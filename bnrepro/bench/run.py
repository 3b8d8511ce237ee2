"""The whole benchmark: what to measure, measuring it, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bnrepro.bench.flops import flop_per_image
from bnrepro.bench.images import bench_images
from bnrepro.bench.report import bench_report
from bnrepro.bench.rounds import Settings, measure_rounds
from bnrepro.config.errors import UsageError
from bnrepro.sweep.configs import compose_base
from bnrepro.sweep.local import default_jobs
from bnrepro.sweep.lockstep import candidates
from bnrepro.sweep.plan import Axes, plan_sweep
from bnrepro.sweep.run import gpus_to_deal
from bnrepro.training.process.device import resolve_device
from bnrepro.training.process.environment import environment

MOST_IN_LOCKSTEP = 16
"""Seeds that are tried as one stacked model."""


def run_bench(
    overrides: Sequence[str],
    axes: Axes,
    config_dir: Path | None,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure every cell of the grid and return the report. Raises `UsageError` for bad input.

    `seconds`: of each measurement. `say` gets a line for each.
    """
    images = bench_images(compose_base(overrides, config_dir).data)
    plan = plan_sweep(overrides, axes, len(images.train), config_dir)
    if plan.base.protocol.norm_batch_size is not None:
        raise UsageError("protocol.norm_batch_size: the tutorial loop has no such thing; leave it out")
    device = resolve_device(plan.base.device)
    lockstep = candidates(MOST_IN_LOCKSTEP) if device.type == "cuda" else [1]  # on the CPU it gains nothing
    settings = Settings(rounds, seconds, default_jobs(plan.base), gpus_to_deal(plan.base), lockstep)
    outcome = measure_rounds(plan.cells, settings, say)
    flops = {cell.id: flop_per_image(cell.config) for cell in plan.cells}
    return bench_report(plan.base, images.name, settings, outcome, flops, environment(device))
