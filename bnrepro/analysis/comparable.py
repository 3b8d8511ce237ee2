"""Whether several sweeps may share a figure: results of different configs are never mixed silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bnrepro.analysis.table import Sweep
from bnrepro.config.errors import Damaged, UsageError
from bnrepro.config.identity import difference
from bnrepro.rundir import schema
from bnrepro.rundir.reading import read_yaml
from bnrepro.rundir.record import CONFIG, CONFIG_BYTES

AXES = ("norm", "batch_size", "seed")
"""In which the cells of one figure differ."""


def check_comparable(sweeps: Sequence[Sweep], tables: Sequence[pd.DataFrame]) -> None:
    """Raises `UsageError` with the keys in which the configs of the sweeps differ, apart from the axes.

    A norm that two sweeps have must have the same options in both: it is one line in the figure.
    """
    first = sweeps[0]
    known: dict[str, tuple[Sweep, str]] = {}
    for sweep, table in zip(sweeps, tables, strict=True):
        _refuse(first, sweep, difference(first.base, sweep.base))
        for norm, cell_id in table.groupby("norm", sort=False)["id"].first().items():
            other, other_id = known.setdefault(norm, (sweep, cell_id))
            if other is not sweep:
                changed = difference(_norm_config(other, other_id), _norm_config(sweep, cell_id))
                _refuse(other, sweep, [f"{norm}: norm.{key}" for key in changed])


def merge(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table; a cell that two sweeps have is there once. Raises `UsageError` where they disagree."""
    table = pd.concat(tables, ignore_index=True)
    # of equal cells the one that did not fail
    best_first = table.loc[(table["status"] == "failed").sort_values(kind="stable").index]
    table = best_first.drop_duplicates([*AXES, "config_hash"]).sort_index()
    if (twice := table.duplicated(list(AXES))).any():
        raise UsageError(
            f"cell {table.loc[twice, 'id'].iloc[0]}: two sweeps have it, of different configs; "
            "plot them apart"
        )
    return table.reset_index(drop=True)


def _norm_config(sweep: Sweep, cell_id: str) -> dict[str, Any]:
    file = sweep.run_directory(cell_id) / CONFIG
    try:
        config = schema.check(file, read_yaml(file, CONFIG_BYTES), {"norm": schema.group()})
    except (FileNotFoundError, Damaged) as error:
        raise UsageError(
            f"{error}; without the norm's options these sweeps cannot be compared; plot them apart"
        ) from error
    return config["norm"]


def _refuse(first: Sweep, second: Sweep, changed: Sequence[str]) -> None:
    if changed:
        raise UsageError(
            f"{first.path} and {second.path}: of different configs, not drawn into one figure "
            f"({'; '.join(changed)}); plot them apart"
        )
