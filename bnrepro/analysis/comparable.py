"""Which sweeps may share a figure: those of one config, and those that differ in one key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from bnrepro.analysis.table import Sweep
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import numeric_part

AXES = ("norm", "batch_size", "seed")
"""In which the cells of one figure differ, beside the axis `x` of a sweep over another key."""
GROUPS = ("data", "model", "protocol", "optimizer", "schedule")
"""Config groups: where two have other names, that is one difference, however many keys they have."""


@dataclass(frozen=True)
class Variants:
    """In which key the sweeps of a figure differ, and each one's value."""

    key: str | None
    """None where all are of one config."""
    values: tuple[str, ...]
    """By sweep."""


def find_variants(sweeps: Sequence[Sweep]) -> Variants:
    """Raises `UsageError` where sweeps differ in more than one key, and where their axes do."""
    first = sweeps[0]
    keys: dict[str, None] = {}
    for sweep in sweeps[1:]:
        if _axis(sweep) != _axis(first):
            raise UsageError(
                f"{first.path} and {sweep.path}: sweeps over {_axis(first)} and over {_axis(sweep)} have no "
                "common x axis; plot them apart"
            )
    for place, sweep in enumerate(sweeps):
        for other in sweeps[place + 1 :]:
            found = _differences(sweep, other)
            keys |= dict.fromkeys(found)
            if len(keys) > 1:
                what = "; ".join(f"{key}: {_value(sweep, key)} -> {_value(other, key)}" for key in found)
                raise UsageError(
                    f"{sweep.path} and {other.path}: of different configs, not drawn into one figure "
                    f"({what}); sweeps may differ in one key, so plot them apart"
                )
    if not keys:
        return Variants(None, ("",) * len(sweeps))
    (key,) = keys
    return Variants(key, tuple(_value(sweep, key) for sweep in sweeps))


def merge(tables: Sequence[pd.DataFrame], axes: Sequence[str] = AXES) -> pd.DataFrame:
    """One table; a cell that two sweeps have is there once. Raises `UsageError` where they disagree."""
    table = pd.concat(tables, ignore_index=True)
    axes = [*axes, *(["x"] if "x" in table else [])]
    # of equal cells the one that did not fail
    best_first = table.loc[(table["status"] == "failed").sort_values(kind="stable").index]
    table = best_first.drop_duplicates([*axes, "config_hash"]).sort_index()
    if (twice := table.duplicated(axes)).any():
        raise UsageError(
            f"cell {table.loc[twice, 'id'].iloc[0]}: two sweeps have it, of different configs; "
            "plot them apart"
        )
    return table.reset_index(drop=True)


def _axis(sweep: Sweep) -> str:
    return sweep.plan.get("axis", {}).get("key", "batch_size")


def _differences(first: Sweep, second: Sweep) -> list[str]:
    """The keys in which results may differ; a norm that only one of them has is no difference."""
    both = [norm for norm in first.norms if norm in second.norms]
    before, after = (_numbers(sweep, both) for sweep in (first, second))
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    groups = {group for group in GROUPS if f"{group}.name" in keys}
    return list(dict.fromkeys(group if (group := key.split(".")[0]) in groups else key for key in keys))


def _numbers(sweep: Sweep, norms: Sequence[str]) -> dict[str, Any]:
    options = sweep.plan.get("norm_options", {})
    numbers = numeric_part({**sweep.base, "norm": {norm: options.get(norm, {}) for norm in norms}})
    # a folder of images keeps its name when it moves to another machine
    root = numbers.get("data.root")
    return numbers | ({"data.root": PurePath(root).name} if root else {})


def _value(sweep: Sweep, key: str) -> str:
    values = _numbers(sweep, sweep.norms)
    return str(values.get(f"{key}.name" if key in GROUPS else key))
