"""The figure for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from bnrepro.analysis.figure import Options
from bnrepro.analysis.names import LABELS
from bnrepro.analysis.plot import NO_REFERENCE, Choice, draw_results
from bnrepro.analysis.results import table_results


def draw(
    table: pd.DataFrame,
    *,
    norms: Sequence[str] | None = None,
    batch_sizes: Sequence[float] | None = None,
    statistics: Sequence[str] = ("running",),
    reference: str | None = NO_REFERENCE,
    labels: str = LABELS[0],
    style: str = "paper",
    size: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    title: str | None = None,
    caption: bool = True,
    x_order: str | None = None,
) -> Figure:
    """Error in percent against batch size, as `bnrepro plot` draws it; the arguments are its options.

    `table`: what `load_table` gives, or rows of it; its `attrs` say what the caption needs. `size` in inches,
    `ylim` in percent, `reference` a name of published points (None: the experiment's). Raises `UsageError`
    for a choice that there is not, and where there is nothing to draw.

    >>> from bnrepro.analysis import draw, load_table
    >>> table = load_table("results/digits")
    >>> figure = draw(table[table["norm"] != "none"], size=(6, 4), caption=False)
    >>> figure.savefig("figure.pdf")
    """
    choice = Choice(
        statistics=tuple(statistics),
        norms=None if norms is None else tuple(norms),
        values=None if batch_sizes is None else tuple(batch_sizes),
        reference=reference,
        labels=labels,
    )
    options = Options(style=style, size=size, ylim=ylim, title=title, caption=caption, x_order=x_order)
    figure, _ = draw_results(table_results(table), choice, options)
    return figure
