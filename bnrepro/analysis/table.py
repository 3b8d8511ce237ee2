"""A sweep directory as a table: one row per finished cell. Nothing is scanned: sweep.json names the cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnrepro.config.errors import UsageError
from bnrepro.config.validate import STATISTICS

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
STATES = ("completed", "diverged", "failed")


@dataclass(frozen=True)
class Sweep:
    """What `sweep.json` says."""

    path: Path
    experiment: str
    protocol: str
    reference: str | None
    base: Mapping[str, Any]
    norms: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    cells: tuple[Mapping[str, Any], ...]

    def run_directory(self, cell_id: str) -> Path:
        return self.path / "cells" / cell_id


def read_sweep(sweep_dir: str | Path) -> Sweep:
    """Read `sweep.json`. Raises `UsageError` where there is none, or one that cannot be understood."""
    path = Path(sweep_dir)
    file = path / "sweep.json"
    try:
        plan = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"SWEEP_DIR={path}: is no sweep directory (no {file}); give one that `bnrepro sweep` made"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file}: cannot be read ({error}); the same `bnrepro sweep` command writes it again"
        ) from error
    if not isinstance(plan, dict) or plan.get("schema") != 1:
        raise UsageError(f"{file}: is no sweep.json of schema 1; this version of bnrepro reads no other")
    try:
        return Sweep(
            path=path,
            experiment=plan["experiment"],
            protocol=plan["protocol"],
            reference=plan["reference"],
            base=plan["base"],
            norms=tuple(plan["norms"]),
            batch_sizes=tuple(plan["batch_sizes"]),
            seeds=tuple(plan["seeds"]),
            cells=tuple(plan["cells"]),
        )
    except KeyError as error:
        raise UsageError(
            f"{file}: has no {error}; the same `bnrepro sweep` command writes it again"
        ) from error


def load_table(sweep_dir: str | Path) -> pd.DataFrame:
    """One row per planned cell that has a `result.json`, in the order of `sweep.json`.

    Columns: the cell's `id` and `shared`, and result.json's fields, flat: `error_running`, `error_precise`,
    `error_batch` and `train_error` in percent (NaN where a norm or a failed run has none), `last_errors_…`
    lists of percent, sizes in images. Empty where no cell is finished. Raises `UsageError` for what is no
    sweep directory, and for a result of another config than the sweep's.
    """
    return read_table(read_sweep(sweep_dir))


def read_table(sweep: Sweep) -> pd.DataFrame:
    """`load_table` of a sweep that is read already."""
    import pandas as pd

    rows = [row for cell in sweep.cells if (row := _read_row(sweep, cell)) is not None]
    extra = dict.fromkeys(key for row in rows for key in row if key not in COLUMNS)
    table = pd.DataFrame(rows, columns=[*COLUMNS, *extra])
    floats = dict.fromkeys([*ERROR_COLUMNS, "train_error", "wall_seconds", "images_per_second"], "float64")
    # nullable: norm_batch_size is absent for norms without batch statistics, the memory on some devices
    return table.astype({**floats, **dict.fromkeys(INTEGERS, "Int64"), "shared": "bool"})


def _read_row(sweep: Sweep, cell: Mapping[str, Any]) -> dict[str, Any] | None:
    file = sweep.run_directory(cell["id"]) / "result.json"
    try:
        result = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read ({error}); remove it and run the sweep again") from error
    if not isinstance(result, dict) or result.get("status") not in STATES:
        raise UsageError(f"{file}: has no status of {', '.join(STATES)}; remove it and run the sweep again")
    if result.get("config_hash") != cell["config_hash"]:
        raise UsageError(
            f"cell {cell['id']}: its result is of another config (config_hash {result.get('config_hash')}, "
            f"the sweep's {cell['config_hash']}); remove {sweep.run_directory(cell['id'])} and run the "
            "sweep again"
        )
    row = {"id": cell["id"], "shared": bool(cell.get("shared", False))}
    for key, value in result.items():
        if isinstance(value, Mapping):
            row.update({f"{key}_{name}": number for name, number in value.items()})
        else:
            row[key] = value
    return row
