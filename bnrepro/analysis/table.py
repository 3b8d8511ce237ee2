"""A sweep directory as a table: one row per finished cell. Nothing is scanned: sweep.json names the cells."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnrepro.analysis import kept
from bnrepro.config.errors import Damaged, UsageError
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir.result import read_result
from bnrepro.sweep import directory
from bnrepro.sweep.single import is_single_run, run_as_sweep

if TYPE_CHECKING:
    import pandas as pd

ERROR_COLUMNS = tuple(f"error_{statistic}" for statistic in STATISTICS)
COLUMNS = (
    *("id", "norm", "batch_size", "seed", "status", *ERROR_COLUMNS, "train_error"),
    *("protocol", "workers", "sgd_batch_size", "norm_batch_size", "shared", "model", "data", "epochs"),
    *(f"last_errors_{statistic}" for statistic in STATISTICS),
    *("wall_seconds", "images_per_second", "peak_memory_bytes", "config_hash", "schema", "message"),
)
INTEGERS = (
    *("batch_size", "seed", "workers", "sgd_batch_size", "norm_batch_size", "epochs", "peak_memory_bytes"),
    "schema",
)
ATTRIBUTE = "sweep"
"""Of a table's `attrs`: what `sweep.json` says of it, without its cells."""


@dataclass(frozen=True)
class Sweep:
    """What `sweep.json` says."""

    path: Path
    plan: Mapping[str, Any]
    kind: str
    """`sweep`, `run` (one run's directory, a sweep of one cell) or `kept` (tables and no run directories)."""

    @property
    def reference(self) -> str | None:
        return self.plan["reference"]

    @property
    def base(self) -> Mapping[str, Any]:
        return self.plan["base"]

    @property
    def norms(self) -> Sequence[str]:
        return self.plan["norms"]

    @property
    def cells(self) -> Sequence[Mapping[str, Any]]:
        return self.plan["cells"]

    def run_directory(self, cell_id: str) -> Path:
        return self.path if self.kind == "run" else self.path / directory.CELLS / cell_id


def read_sweep(sweep_dir: str | Path) -> Sweep:
    """Read `sweep.json`, or a single run's config as one.

    Raises `UsageError` where there is neither, or one that cannot be understood.
    """
    path = Path(sweep_dir)
    if not (path / directory.SWEEP).exists():
        if is_single_run(path):
            return Sweep(path, run_as_sweep(path), "run")
        if (path / kept.TABLE).exists():
            raise UsageError(
                f"{path}: has a {kept.TABLE} but no {directory.SWEEP}: an earlier version wrote it, and it "
                "cannot be drawn again; plot the sweep's own directory"
            )
    plan = directory.read_sweep(path)
    is_kept = not (path / directory.CELLS).exists() and (path / kept.TABLE).exists()
    return Sweep(path, plan, "kept" if is_kept else "sweep")


def load_table(sweep_dir: str | Path) -> pd.DataFrame:
    """One row per planned cell that has a `result.json`, in the order of `sweep.json`.

    Columns: the cell's `id` and `shared`, and result.json's fields, flat: `error_running`, `error_precise`,
    `error_batch` and `train_error` in percent (NaN where a norm or a failed run has none), `last_errors_…`
    lists of percent, sizes in images. Empty where no cell is finished. A cell whose result is damaged or of
    another config than the sweep's is left out, with a warning. `sweep_dir` may also be a single run's
    directory, or a folder of `results/` with `sweep.json` and `table.csv`. Raises `UsageError` for what is
    neither.
    """
    sweep = read_sweep(sweep_dir)
    table, damaged = read_table(sweep)
    for line in damaged.values():
        warnings.warn(line, stacklevel=2)
    about = {key: value for key, value in sweep.plan.items() if key != "cells"}
    table.attrs[ATTRIBUTE] = about | {"images_per_epoch": images_per_epoch([sweep], table)}
    return table


def images_per_epoch(sweeps: Sequence[Sweep], table: pd.DataFrame) -> list[int]:
    """The numbers of training images that cells see: an epoch drops its incomplete last batch."""
    epochs = dict(zip(table["id"], table["epochs"], strict=True))
    seen = {
        cell["steps"] * cell["sgd_batch_size"] // int(epochs[cell["id"]])
        for sweep in sweeps
        for cell in sweep.cells
        if cell["id"] in epochs and cell["steps"]
    }
    return sorted(seen)


def read_table(sweep: Sweep) -> tuple[pd.DataFrame, dict[str, str]]:
    """`load_table` of a sweep that is read already; cell id -> why it is left out."""
    import pandas as pd

    if sweep.kind == "kept":
        rows, damaged = kept.read_rows(sweep.path, sweep.cells), dict[str, str]()
    else:
        rows, damaged = _read_rows(sweep)
    extra = dict.fromkeys(key for row in rows for key in row if key not in COLUMNS)
    table = pd.DataFrame(rows, columns=[*COLUMNS, *extra])
    floats = dict.fromkeys([*ERROR_COLUMNS, "train_error", "wall_seconds", "images_per_second"], "float64")
    # nullable: norm_batch_size is absent for norms without batch statistics, the memory on some devices
    return table.astype({**floats, **dict.fromkeys(INTEGERS, "Int64"), "shared": "bool"}), damaged


def _read_rows(sweep: Sweep) -> tuple[list[dict[str, Any]], dict[str, str]]:
    rows, damaged = [], {}
    for cell in sweep.cells:
        try:
            row = _read_row(sweep, cell)
        except Damaged as error:
            damaged[cell["id"]] = str(error)
            continue
        if row is not None:
            rows.append(row)
    return rows, damaged


def _read_row(sweep: Sweep, cell: Mapping[str, Any]) -> dict[str, Any] | None:
    result = read_result(sweep.run_directory(cell["id"]), cell)
    if result is None:
        return None
    # the sizes are result.json's too, but not a failed run's
    sizes = {key: cell.get(key) for key in ("workers", "sgd_batch_size", "norm_batch_size")}
    row = {"id": cell["id"], "shared": cell["shared"], **({"x": cell["x"]} if "x" in cell else {}), **sizes}
    for key, value in result.items():
        if isinstance(value, Mapping):
            row.update({f"{key}_{name}": number for name, number in value.items()})
        else:
            row[key] = value
    return row
