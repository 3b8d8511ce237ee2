"""The figures of `bnrepro plot DIR --probes`: every layer over the steps, a column per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnrepro.analysis.probes import find_runs, read_table
from bnrepro.analysis.style import FORMATS, drawing, render
from bnrepro.config.errors import check_choice
from bnrepro.rundir.files import make_directory, write_bytes, write_text

WIDTH, HEIGHT, AROUND = 2.7, 1.75, 1.5  # inches: of a panel, and beside all of them
DARK, LIGHT = 0.0, 0.86
"""Ends of the colour map in use, first layer and last: white paper hides its light end."""
MOST_IN_LEGEND = 12


@dataclass(frozen=True)
class Row:
    """One quantity: a row of panels."""

    place: str
    quantity: str
    label: str
    logarithmic: bool = False


ROWS = {
    "inputs": (
        Row("activations", "sd", "sd of what enters\nthe activation"),
        Row("activations", "saturated", "share saturated"),
        Row("activations", "distance", "activation: distance\nto step 0 (sd)"),
        Row("norms", "distance", "norm: distance\nto step 0 (sd)"),
    ),
    "gradients": (
        Row("", "weight", "gradient by the weight", logarithmic=True),
        Row("", "output", "gradient by the output", logarithmic=True),
    ),
    "moves": (
        Row("activations", "distance", "activation: moved\nin one step (sd)", logarithmic=True),
        Row("norms", "distance", "norm: moved\nin one step (sd)", logarithmic=True),
    ),
    "shift": (
        Row("", "cosine", "cosine of the gradients\nbefore and after"),
        Row("", "relative_l2", "relative change\nof the gradient", logarithmic=True),
    ),
    "correlation": (
        Row("before", "mean", "channels before the norm:\nmean |correlation|"),
        Row("after", "mean", "channels after the norm:\nmean |correlation|"),
        Row("before", "images", "images before the norm:\nmean |cosine|"),
        Row("after", "images", "images after the norm:\nmean |cosine|"),
    ),
    "errors": (
        Row("", "loss", "loss in evaluation", logarithmic=True),
        Row("", "error", "error in evaluation (%)"),
    ),
}
"""What is drawn of the probes of the package; of another one, all it measures."""


def write_probes(directories: Sequence[Path], out: Path | None, formats: Sequence[str]) -> list[Path]:
    """Write `probes.csv` and a figure per probe of runs and sweeps; the files.

    `out` defaults to the first directory. Raises `UsageError`, `Damaged` and `StorageError`.
    """
    for extension in formats:
        check_choice("--format", extension, FORMATS)
    table = read_table(find_runs(directories))
    target = out or directories[0]
    make_directory(target)
    written = [target / "probes.csv"]
    write_text(written[0], table.to_csv(index=False, lineterminator="\n"))
    for probe, values in table.groupby("probe", sort=False):
        figure = draw_probe(str(probe), values)
        for extension in formats:
            written.append(target / f"probes_{probe}.{extension}")
            write_bytes(written[-1], render(figure, extension))
    return written


def draw_probe(probe: str, values: pd.DataFrame) -> Figure:
    """A row of panels per quantity, a column per run, a line per layer, over the steps of training."""
    rows = [row for row in ROWS.get(probe, _all_rows(values)) if _is_there(values, row)]
    runs = list(values["run"].unique())
    with drawing():
        size = (WIDTH * len(runs) + AROUND, HEIGHT * len(rows) + 0.7)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(rows), len(runs), sharex=True, sharey="row", squeeze=False)
        last = int(values["step"].max())
        for row, line in zip(rows, panels, strict=True):
            for run, axes in zip(runs, line, strict=True):
                _draw_panel(axes, values[values["run"] == run], row)
                _set_axes(axes, row, last)
            line[0].set_ylabel(row.label)
        for run, axes in zip(runs, panels[0], strict=True):
            axes.set_title(str(run), fontsize=9)
        for axes in panels[-1]:
            axes.set_xlabel("training steps")
        for row, line in zip(rows, panels, strict=True):
            _add_legend(line[-1], _layers(values, row))
    return figure


def _all_rows(values: pd.DataFrame) -> list[Row]:
    pairs = values[["place", "quantity"]].drop_duplicates().itertuples(index=False)
    return [Row(pair.place, pair.quantity, f"{pair.place} {pair.quantity}".strip()) for pair in pairs]


def _of(values: pd.DataFrame, row: Row) -> pd.DataFrame:
    return values[(values["place"] == row.place) & (values["quantity"] == row.quantity)]


def _is_there(values: pd.DataFrame, row: Row) -> bool:
    found = _of(values, row)["value"]
    return bool((found > 0).any() if row.logarithmic else found.notna().any())


def _layers(values: pd.DataFrame, row: Row) -> list[str]:
    """In the order of the network."""
    return list(_of(values, row)["layer"].unique())


def _colors(layers: Sequence[str]) -> dict[str, tuple[float, ...]]:
    steps = matplotlib.colormaps["viridis"](np.linspace(DARK, LIGHT, max(2, len(layers))))
    return {layer: tuple(step) for layer, step in zip(layers, steps, strict=False)}


def _draw_panel(axes: Axes, values: pd.DataFrame, row: Row) -> None:
    mine = _of(values, row)
    for layer, color in _colors(_layers(values, row)).items():
        line = mine[mine["layer"] == layer]
        # a gap where a logarithmic scale has no place: a gradient of 0
        value = line["value"].where(line["value"] > 0) if row.logarithmic else line["value"]
        axes.plot(line["step"], value, color=color, marker="o", markersize=2.5, linewidth=1.2)


def _set_axes(axes: Axes, row: Row, last: int) -> None:
    """Steps on a logarithmic scale that has room for step 0."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(-0.2, max(1, last) * 1.25)
    powers = [10**power for power in range(len(str(last)))]
    axes.set_xticks([0, *powers], labels=["0", *map(str, powers)])
    axes.minorticks_off()
    if row.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")


def _add_legend(axes: Axes, layers: Sequence[str]) -> None:
    """The layers' names at the row's right; of very many the first, some between and the last."""
    colors = _colors(layers)
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_IN_LEGEND)).round().astype(int)
    for layer in (layers[place] for place in dict.fromkeys(places)):
        axes.plot([], [], color=colors[layer], label=layer)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=6.5, handlelength=1.2, labelspacing=0.2
    )
