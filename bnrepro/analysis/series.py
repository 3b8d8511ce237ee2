"""Which lines a figure has: per norm, and for norms with batch statistics per statistics asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Series:
    """One line of the figure."""

    norm: str
    statistics: str | None
    """None where the norm has no choice of statistics."""
    rows: pd.DataFrame
    """The norm's rows of the summary under these statistics, by rising batch size."""

    @property
    def shared(self) -> bool:
        return bool(self.rows["shared"].any())

    @property
    def label(self) -> str:
        return self.norm if self.statistics is None else f"{self.norm}, {self.statistics}"


def select_series(
    summary: pd.DataFrame, batch_norms: Collection[str], statistics: Sequence[str]
) -> tuple[list[Series], list[str]]:
    """The lines to draw, in the summary's order of norms, and a note for each that has no numbers.

    `batch_norms` are the norms with batch statistics: the others have one error, whatever is asked for.
    """
    series: list[Series] = []
    notes: list[str] = []
    # the default goes without saying
    said = tuple(statistics) != ("running",)
    for norm, rows in summary.groupby("norm", sort=False):
        asked = statistics if norm in batch_norms else ("running",)
        for name in asked:
            # where every seed failed there is a row without numbers, and the line has a gap
            mine = rows[(rows["statistics"] == name) | (rows["n"] == 0)]
            if not mine["n"].any():
                notes.append(f"{norm}: no finished cell has an error under {name} statistics; not drawn")
                continue
            series.append(Series(norm, name if said and norm in batch_norms else None, mine))
    return series, notes
