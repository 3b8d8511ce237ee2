"""What the benchmark found, as JSON and CSV."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from bnrepro.bench.processes import Together
from bnrepro.bench.rounds import Evaluated, Measured, Outcome, Settings
from bnrepro.config.schema import RunConfig
from bnrepro.rundir.files import make_directory, write_json, write_text

JSON, CSV = "bench.json", "bench.csv"
KINDS = ("ours", "tutorial", "limit")
RATIOS = ("ours_per_tutorial", "ours_per_limit")


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, lowest and highest of the rounds, and the rounds."""
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "n": len(values),
        "rounds": list(values),
    }


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, Any]:
    """The spread of the ratios within each round: what slowed down the machine is in both."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def bench_report(
    config: RunConfig,
    data: str,
    settings: Settings,
    outcome: Outcome,
    flops: Mapping[str, float],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that was found. `flops`: cell id -> floating-point operations per image."""
    peak = spread(outcome.matrix_peak)
    return {
        "schema": 1,
        "environment": dict(environment),
        "model": config.model.name,
        "data": data,
        "augment": config.data.augment,
        "protocol": config.protocol.name,
        "precision": config.precision,
        "threads": config.threads,
        **asdict(settings),
        "matrix_flop_per_second": peak,
        "evaluation": [_evaluation(one) for one in outcome.evaluations],
        "cells": [_row(one, flops[one.cell.id], peak["median"], settings.jobs) for one in outcome.cells],
    }


def _step_milliseconds(images_per_second: float, one: Measured, jobs: int) -> float:
    """Of one worker, for one of its models."""
    return 1000 * jobs * one.cell.sizes.sgd_batch_size / images_per_second


def _row(one: Measured, flop: float, peak: float, jobs: int) -> dict[str, Any]:
    speeds = {kind: _per_second(getattr(one, kind)) for kind in KINDS}
    ours = spread(speeds["ours"])
    return {
        "norm": one.cell.config.norm.name,
        "batch_size": one.cell.config.batch_size,
        "sgd_batch_size": one.cell.sizes.sgd_batch_size,
        **{f"{kind}_images_per_second": spread(speeds[kind]) for kind in KINDS},
        "ours_per_tutorial": ratio(speeds["ours"], speeds["tutorial"]),
        "ours_per_limit": ratio(speeds["ours"], speeds["limit"]),
        **{f"{kind}_peak_memory_bytes": _peak_memory(getattr(one, kind)) for kind in KINDS},
        "tutorial_threads": one.way.threads if one.way else None,
        "loader_workers": one.way.loader_workers if one.way else None,
        "lockstep": one.lockstep,
        "ours_milliseconds_per_model_step": _step_milliseconds(ours["median"], one, jobs),
        "flop_per_image": flop,
        "share_of_matrix_peak": ours["median"] * flop / peak,
    }


def _evaluation(one: Evaluated) -> dict[str, Any]:
    evaluation, forward = _per_second(one.evaluation), _per_second(one.forward)
    return {
        "norm": one.cell.config.norm.name,
        "evaluation_images_per_second": spread(evaluation),
        "forward_images_per_second": spread(forward),
        "evaluation_per_forward": ratio(evaluation, forward),
    }


def _per_second(rounds: Sequence[Together]) -> list[float]:
    return [together.per_second for together in rounds]


def _peak_memory(rounds: Sequence[Together]) -> int:
    return max(together.peak_memory_bytes for together in rounds)


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A cell of the report as a row of a table: `…_median`, `…_low`, `…_high`, `…_n`."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            cells.update({f"{key}_{name}": value[name] for name in ("median", "low", "high", "n")})
        else:
            cells[key] = value
    return cells


def write_report(report: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write bench.json and bench.csv; their paths."""
    make_directory(directory)
    write_json(directory / JSON, report)
    rows = [flat(row) for row in report["cells"]]
    table = StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(directory / CSV, table.getvalue())
    return [directory / JSON, directory / CSV]


def describe_machine(report: Mapping[str, Any]) -> str:
    """Device, workers, versions and commit, n: what every number needs beside it."""
    environment = report["environment"]
    commit = (environment["commit"] or "no commit")[:10] + (" + changes" if environment["dirty"] else "")
    peak = report["matrix_flop_per_second"]["median"]
    return (
        f"{environment['device']}, {report['jobs']} workers × {report['threads']} threads; "
        f"{report['model']}, {report['data']}, {report['precision']}; "
        f"torch {environment['versions']['torch']}, bnrepro {environment['bnrepro']} ({commit}); "
        f"n = {report['rounds']} rounds of {report['seconds']:g} s, median; "
        f"matrix products {peak / 1e9:,.0f} GFLOP/s"
    )
