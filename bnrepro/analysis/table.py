"""A sweep directory as a table: one row per finished cell. Nothing is scanned: sweep.json names the cells."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnrepro.config.errors import Damaged, UsageError
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir.result import read_result
from bnrepro.sweep import directory

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


@dataclass(frozen=True)
class Sweep:
    """What `sweep.json` says."""

    path: Path
    reference: str | None
    base: Mapping[str, Any]
    norms: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    cells: tuple[Mapping[str, Any], ...]

    def run_directory(self, cell_id: str) -> Path:
        return self.path / directory.CELLS / cell_id


def read_sweep(sweep_dir: str | Path) -> Sweep:
    """Read `sweep.json`. Raises `UsageError` where there is none, and `Damaged`."""
    path = Path(sweep_dir)
    plan = directory.read_sweep(path)
    if plan["schema"] != directory.BATCH_SIZES:
        raise UsageError(f"{path}: is not a sweep over batch_size, the only one that this version draws")
    return Sweep(
        path=path,
        reference=plan["reference"],
        base=plan["base"],
        norms=tuple(plan["norms"]),
        batch_sizes=tuple(plan["batch_sizes"]),
        cells=tuple(plan["cells"]),
    )


def load_table(sweep_dir: str | Path) -> pd.DataFrame:
    """One row per planned cell that has a `result.json`, in the order of `sweep.json`.

    Columns: the cell's `id` and `shared`, and result.json's fields, flat: `error_running`, `error_precise`,
    `error_batch` and `train_error` in percent (NaN where a norm or a failed run has none), `last_errors_…`
    lists of percent, sizes in images. Empty where no cell is finished. A cell whose result is damaged or of
    another config than the sweep's is left out, with a warning. Raises `UsageError` for what is not a sweep
    directory.
    """
    table, damaged = read_table(read_sweep(sweep_dir))
    for line in damaged.values():
        warnings.warn(line, stacklevel=2)
    return table


def read_table(sweep: Sweep) -> tuple[pd.DataFrame, dict[str, str]]:
    """`load_table` of a sweep that is read already; cell id -> why it is left out."""
    import pandas as pd

    rows, damaged = [], {}
    for cell in sweep.cells:
        try:
            row = _read_row(sweep, cell)
        except Damaged as error:
            damaged[cell["id"]] = str(error)
            continue
        if row is not None:
            rows.append(row)
    extra = dict.fromkeys(key for row in rows for key in row if key not in COLUMNS)
    table = pd.DataFrame(rows, columns=[*COLUMNS, *extra])
    floats = dict.fromkeys([*ERROR_COLUMNS, "train_error", "wall_seconds", "images_per_second"], "float64")
    # nullable: norm_batch_size is absent for norms without batch statistics, the memory on some devices
    table = table.astype({**floats, **dict.fromkeys(INTEGERS, "Int64"), "shared": "bool"})
    return table, damaged


def _read_row(sweep: Sweep, cell: Mapping[str, Any]) -> dict[str, Any] | None:
    result = read_result(sweep.run_directory(cell["id"]), cell)
    if result is None:
        return None
    # the sizes are result.json's too, but not a failed run's
    sizes = {key: cell.get(key) for key in ("workers", "sgd_batch_size", "norm_batch_size")}
    row = {"id": cell["id"], "shared": cell["shared"], **sizes}
    for key, value in result.items():
        if isinstance(value, Mapping):
            row.update({f"{key}_{name}": number for name, number in value.items()})
        else:
            row[key] = value
    return row
