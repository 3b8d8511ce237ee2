"""What a reader must know to believe the figure, in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from bnrepro.analysis.series import Series

KEEP = "\u00a0"
"""A space at which no line ends."""
INTERVAL = f"mean and 95{KEEP}% t-interval of the mean."
PROTOCOLS = {
    "coupled": "sgd_batch_size = norm_batch_size = batch_size",
    "workers": "{workers} workers, sgd_batch_size = {workers} × batch_size, norm_batch_size = batch_size",
    "fixed_sgd": "sgd_batch_size = {sgd}, norm_batch_size = batch_size",
}


def describe_setup(table: pd.DataFrame) -> str:
    """`ResNet-8 on CIFAR-10, 6 epochs, protocol coupled (…).`"""
    protocol = _values(table["protocol"])
    sizes = PROTOCOLS.get(protocol, "").format(
        workers=_values(table["workers"]), sgd=_values(table["sgd_batch_size"])
    )
    return (
        f"{model_label(_values(table['model']))} on {_values(table['data'])}, {_values(table['epochs'])} "
        f"epochs, protocol {protocol} ({sizes})."
    )


def describe_figure(
    table: pd.DataFrame, series: Sequence[Series], batch_norms: Collection[str], planned: int
) -> str:
    """The caption: setup, n, what is not to be seen from the lines."""
    sentences = [
        describe_setup(table),
        _seeds(series),
        _statistics(series, batch_norms),
        _shared(series, table),
        _diverged(table),
        _failed(table),
        f"Partial: {len(table)} of {planned} cells are finished." if len(table) < planned else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def model_label(name: str) -> str:
    """`resnet20` as papers write it."""
    return re.sub(r"\bresnet(\d+)", r"ResNet-\1", name)


def shorten(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _values(column: pd.Series) -> str:
    return ", ".join(str(value) for value in column.dropna().unique())


def _seeds(series: Sequence[Series]) -> str:
    n = [int(value) for line in series for value in line.rows["n"] if value]
    least, most = min(n), max(n)
    if most == 1:
        return f"n{KEEP}={KEEP}1{KEEP}seed: no interval."
    if least == most:
        return f"n{KEEP}={KEEP}{most}{KEEP}seeds: {INTERVAL}"
    alone = " (1: no interval)" if least == 1 else ""
    return f"n{KEEP}={KEEP}{least}–{most}{KEEP}seeds{alone}: {INTERVAL}"


def _statistics(series: Sequence[Series], batch_norms: Collection[str]) -> str:
    mine = [line for line in series if line.norm in batch_norms]
    if not mine:
        return ""
    if all(line.statistics is None for line in mine):
        return "Evaluated with running statistics."
    return "At evaluation the statistics that the legend names."


def _shared(series: Sequence[Series], table: pd.DataFrame) -> str:
    names = list(dict.fromkeys(line.norm for line in series if line.shared))
    if not names:
        return ""
    sizes = _values(table.loc[table["shared"], "sgd_batch_size"])
    return (
        f"Horizontal: {', '.join(names)}, which see no batch: trained once per seed, {sizes} images per step."
    )


def _diverged(table: pd.DataFrame) -> str:
    rows = table[table["status"] == "diverged"]
    if rows.empty:
        return ""
    chance = rows["error_running"].dropna().unique()
    of = f" ({chance[0]:g}{KEEP}%)" if len(chance) == 1 else ""
    return f"Diverged runs count with the error of chance{of}; no point where all diverged."


def _failed(table: pd.DataFrame) -> str:
    rows = table[table["status"] == "failed"]
    if rows.empty:
        return ""
    counts: dict[tuple[Any, Any], int] = rows.groupby(["norm", "batch_size"], sort=False).size().to_dict()
    names = [
        f"{norm} at batch_size {size} ({count} run{'s' if count > 1 else ''})"
        for (norm, size), count in counts.items()
    ]
    return f"Failed, without an error: {shorten(names)}."
