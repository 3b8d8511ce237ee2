"""What the probes of runs measured, as a table: a row per run, step, layer and quantity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.config.errors import UsageError
from bnrepro.rundir.probe_record import FILE, LINE, read_probes
from bnrepro.sweep.directory import CELLS, SWEEP, read_sweep

COLUMNS = ("run", "step", "probe", "place", "layer", "quantity", "value")
MOST_RUNS = 6
"""Columns of a figure that are still wide enough."""


def find_runs(directories: Sequence[Path]) -> dict[str, Path]:
    """The runs with probes in directories of runs or of sweeps, by the names that figures give them.

    Raises `UsageError` where there are none, or too many for a figure.
    """
    runs: dict[str, Path] = {}
    for directory in directories:
        if (directory / SWEEP).is_file():
            cells = [directory / CELLS / cell["id"] for cell in read_sweep(directory)["cells"]]
        else:
            cells = [directory]
        for cell in cells:
            if (cell / FILE).is_file():
                name = cell.resolve().name
                runs[name if name not in runs else f"{directory.name}/{name}"] = cell
    where = ", ".join(map(str, directories))
    if not runs:
        raise UsageError(f"{where}: has no {FILE}; train with probes=[inputs,gradients], into another --out")
    if len(runs) > MOST_RUNS:
        raise UsageError(
            f"{where}: {len(runs)} runs have probes, a figure has room for {MOST_RUNS}; give some of their "
            f"directories, as {next(iter(runs.values()))}"
        )
    return runs


def read_table(runs: Mapping[str, Path]) -> pd.DataFrame:
    """The values of all probes, in the order of training and of the layers. Raises `Damaged`."""
    rows = [
        (name, line["step"], probe, *value)
        for name, directory in runs.items()
        for line in read_probes(directory / FILE)
        for probe, values in line.items()
        if probe not in LINE
        for value in _values(values, "")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": "float64"})


def _values(values: Any, place: str) -> Iterator[tuple[str, str, str, float | None]]:
    """Place, layer, quantity and value; the two innermost levels are layer and quantity."""
    if not isinstance(values, Mapping):
        return
    for key, inner in values.items():
        if isinstance(inner, Mapping) and not any(isinstance(value, Mapping) for value in inner.values()):
            for quantity, value in inner.items():
                if value is None or isinstance(value, int | float):
                    yield place, key, quantity, value
        else:
            yield from _values(inner, f"{place} {key}".strip())
