"""A sweep directory: names, and `sweep.json`. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.identity import difference
from bnrepro.config.schema import RunConfig
from bnrepro.rundir.files import write_json
from bnrepro.sweep.axis import Axis, cell_name, read_axis

SWEEP = "sweep.json"
CELLS = "cells"


def cell_id(config: RunConfig) -> str:
    """The name of a single run."""
    return cell_name(config.norm.name, "b", config.batch_size, config.seed)


def default_directory(config: RunConfig, axis: Axis | None = None) -> Path:
    """Where a sweep goes unless told otherwise; without its axis, what a single run's name begins with."""
    over = "" if axis is None or axis.is_batch_size else f"-{axis.short}"
    return Path("results") / "runs" / f"{config.experiment}-{config.protocol.name}{over}"


def read_sweep(directory: Path) -> dict[str, Any]:
    """`sweep.json`. Raises `UsageError` where there is none, or where it is broken."""
    path = directory / SWEEP
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"{directory}: is no sweep directory (no {SWEEP}); give the sweep's --out") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: is no JSON ({error}); the sweep's own command writes it anew") from error


def write_sweep(directory: Path, sweep: dict[str, Any]) -> None:
    """Write `sweep.json`, whose cells may only grow.

    Raises `UsageError` with the keys that differ where the directory belongs to another config.
    """
    path = directory / SWEEP
    if path.exists():
        sweep = _merged(directory, read_sweep(directory), sweep)
    write_json(path, sweep)


def _merged(directory: Path, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new sweep with the old one's further cells: axes may grow or shrink, nothing else may change."""
    _refuse_other_axis(directory, old, new)
    both = [norm for norm in new["norms"] if norm in old["norm_options"]]
    changed = difference(
        {**old["base"], "norm": {norm: old["norm_options"][norm] for norm in both}},
        {**new["base"], "norm": {norm: new["norm_options"][norm] for norm in both}},
    )
    if changed:
        raise UsageError(
            f"{directory}: holds a sweep of another config ({'; '.join(changed)}); choose another --out, "
            "or the old values"
        )
    ids = {cell["id"] for cell in new["cells"]}
    cells = [*new["cells"], *(cell for cell in old["cells"] if cell["id"] not in ids)]
    lists = ("norms", "seeds") if "axis" in new else ("norms", "batch_sizes", "seeds")
    axes: dict[str, Any] = {key: _union(new[key], old[key]) for key in lists}
    if "axis" in new:
        axes["axis"] = {**new["axis"], "values": _union(new["axis"]["values"], old["axis"]["values"])}
    options = {**old["norm_options"], **new["norm_options"]}
    lockstep = {"lockstep": old["lockstep"]} if "lockstep" in old else {}
    return {**new, **axes, **lockstep, "norm_options": options, "cells": cells}


def _refuse_other_axis(directory: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = read_axis(old).key, read_axis(new).key
    if before != after:
        raise UsageError(f"{directory}: holds a sweep over {before}, not over {after}; choose another --out")


def _union(new: list[Any], old: list[Any]) -> list[Any]:
    both = list(dict.fromkeys([*old, *new]))
    return both if isinstance(both[0], str) else sorted(both)
