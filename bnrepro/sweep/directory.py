"""A sweep directory: names, and `sweep.json`. Imports no torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged, UsageError, with_remedy
from bnrepro.config.identity import difference
from bnrepro.config.schema import RunConfig
from bnrepro.rundir import schema
from bnrepro.rundir.boards import CELLS as CELLS
from bnrepro.rundir.files import write_json
from bnrepro.rundir.reading import MIB, read_json
from bnrepro.sweep.axis import SCALES, Axis, cell_name, read_axis

SWEEP = "sweep.json"
BATCH_SIZES, ANY_AXIS = 1, 2
"""Schemas: a grid over batch sizes, or over another key."""
MOST_BYTES = 256 * MIB
FIELDS = {
    "schema": schema.one_of((BATCH_SIZES, ANY_AXIS)),
    "reference": schema.nullable(schema.text()),
    "base": schema.group(),
    "norms": schema.list_of(schema.text()),
    "batch_sizes": schema.optional(schema.list_of(schema.whole(1))),
    "axis": schema.optional(schema.group()),
    "seeds": schema.list_of(schema.whole()),
    "norm_options": schema.optional(schema.group_of(schema.group())),
    "norm_labels": schema.optional(schema.group_of(schema.nullable(schema.text()))),
    "overrides": schema.optional(schema.list_of(schema.text())),
    "lockstep": schema.optional(schema.group_of(schema.whole(1))),
    "cells": schema.list_of(schema.group()),
}
AXIS_FIELDS = {
    "key": schema.text(),
    "short": schema.text(),
    "label": schema.text(),
    "scale": schema.one_of(SCALES),
    "values": schema.list_of(schema.finite()),
}
CELL_FIELDS = {
    "id": schema.name(),  # of its directory
    "norm": schema.text(),
    "batch_size": schema.whole(1),
    "seed": schema.whole(),
    "config_hash": schema.text(),
    "shared": schema.truth(),
    "steps": schema.whole(1),
    "workers": schema.whole(1),
    "sgd_batch_size": schema.whole(1),
    "norm_batch_size": schema.nullable(schema.whole(1)),
}


def cell_id(config: RunConfig) -> str:
    """The name of a single run."""
    return cell_name(config.norm.name, "b", config.batch_size, config.seed)


def default_directory(config: RunConfig, axis: Axis | None = None) -> Path:
    """Where a sweep goes unless told otherwise; without its axis, what a single run's name begins with."""
    over = "" if axis is None or axis.is_batch_size else f"-{axis.short}"
    return Path("results") / "runs" / f"{config.experiment}-{config.protocol.name}{over}"


def read_sweep(directory: Path) -> dict[str, Any]:
    """`sweep.json`. Raises `UsageError` where there is none, and `Damaged`."""
    path = directory / SWEEP
    try:
        return _check(path, read_json(path, MOST_BYTES))
    except FileNotFoundError:
        raise UsageError(
            f"{directory}: is not a sweep directory (no {SWEEP}); give the sweep's --out"
        ) from None
    except Damaged as error:
        raise with_remedy(error, "remove it, and the sweep's own command writes it again") from error


def _check(path: Path, value: Any) -> dict[str, Any]:
    """`value`, where it is a plan whose cells are told apart. Raises `Damaged`."""
    sweep = schema.check(path, value, FIELDS)
    if sweep["schema"] == ANY_AXIS:
        schema.check(path, sweep.get("axis"), AXIS_FIELDS, where="axis.")
    elif "batch_sizes" not in sweep:
        raise Damaged(f"{path}: batch_sizes is missing")
    fields = CELL_FIELDS | ({"x": schema.finite()} if sweep["schema"] == ANY_AXIS else {})
    for place, cell in enumerate(sweep["cells"]):
        schema.check(path, cell, fields, where=f"cells[{place}].")
    twice = [name for name, times in Counter(cell["id"] for cell in sweep["cells"]).items() if times > 1]
    if twice:
        raise Damaged(f"{path}: has the cell {twice[0]} twice")
    return sweep


def write_sweep(directory: Path, sweep: dict[str, Any]) -> None:
    """Write `sweep.json`, whose cells may only grow.

    Raises `UsageError` with the keys that differ where the directory belongs to another config.
    """
    path = directory / SWEEP
    if path.exists() or path.is_symlink():
        sweep = _merged(directory, read_sweep(directory), sweep)
    write_json(path, sweep)


def _merged(directory: Path, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new sweep with the old one's further cells: axes may grow or shrink, nothing else may change."""
    _refuse_other_axis(directory, old, new)
    known = old.get("norm_options", {})
    changed = difference({**old["base"], "norm": {}}, {**new["base"], "norm": {}})
    for norm in (norm for norm in new["norms"] if norm in known):
        # under the name that a run's config gives them, for those that older ones do not have
        before, after = ({"norm": {"options": each[norm]}} for each in (known, new["norm_options"]))
        changed += [text.replace("norm.options", f"norm.{norm}", 1) for text in difference(before, after)]
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
    options = {**known, **new["norm_options"]}
    labels = {**old.get("norm_labels", {}), **new.get("norm_labels", {})}
    labelled = {"norm_labels": labels} if labels else {}
    lockstep = {"lockstep": old["lockstep"]} if "lockstep" in old else {}
    return {**new, **axes, **labelled, **lockstep, "norm_options": options, "cells": cells}


def _refuse_other_axis(directory: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = read_axis(old).key, read_axis(new).key
    if before != after:
        raise UsageError(f"{directory}: holds a sweep over {before}, not over {after}; choose another --out")


def _union(new: list[Any], old: list[Any]) -> list[Any]:
    both = list(dict.fromkeys([*old, *new]))
    return both if isinstance(both[0], str) else sorted(both)
