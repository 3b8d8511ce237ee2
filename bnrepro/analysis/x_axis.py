"""The figure's x axis: which column of the table it is, what it is called, and its scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

BATCH_SIZE = "batch_size"
LABELS = {
    "coupled": "batch size (images per step, one worker)",
    "workers": "images per worker ({workers} workers)",
    "fixed_sgd": "normalization batch (SGD batch {sgd})",
}
"""What the batch size is in each protocol."""
ANY_PROTOCOL = "normalization batch (images)"


@dataclass(frozen=True)
class XAxis:
    """What the cells of a figure differ in, apart from norm and seed."""

    key: str
    """The config's."""
    column: str
    """The table's."""
    label: str
    scale: str
    """`log2`, `log10` or `linear`."""


def x_axis(plan: Mapping[str, Any], table: pd.DataFrame) -> XAxis:
    """The axis of a `sweep.json`, labelled by the protocol of the runs in `table`."""
    if axis := plan.get("axis"):
        return XAxis(axis["key"], "x", axis["label"], axis["scale"])
    return XAxis(BATCH_SIZE, BATCH_SIZE, _batch_size_label(table), "log2")


def _batch_size_label(table: pd.DataFrame) -> str:
    protocols = _distinct(table["protocol"])
    if len(protocols) != 1 or protocols[0] not in LABELS:
        return ANY_PROTOCOL
    workers, sgd = (_distinct(table[column]) for column in ("workers", "sgd_batch_size"))
    return LABELS[protocols[0]].format(workers=_joined(workers), sgd=_joined(sgd))


def _distinct(column: pd.Series) -> list[Any]:
    return list(column.dropna().unique())


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
