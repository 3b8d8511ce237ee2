"""What `diagnose` found: a table for the terminal and for files, and a figure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bnrepro.analysis.style import FAINT, drawing, render
from bnrepro.rundir.files import make_directory, write_bytes

LEAST, MOST = 0.01, 2.0
"""Ends of the colours: noise below and above looks alike."""
NAMED_LAYERS = 60
"""More layers than this are drawn without their names."""


def text_table(rows: Sequence[Mapping[str, Any]], trained: bool) -> list[list[str]]:
    """Header and a line per layer: the noise of σ²_B for every n, and from which n on it is below the bound.

    Of a trained network also how far its running statistics are off: those of a new one mean nothing.
    """
    off = ["mean off", "var off"] if trained else []
    names = ["layer", "C", "HxW", *off, *(f"n={n}" for n in rows[0]["noise_var"]), "enough"]
    return [names, *(_cells(row, trained) for row in rows)]


def _cells(row: Mapping[str, Any], trained: bool) -> list[str]:
    away = [row["distances"].get(key) for key in ("running_mean", "running_var")] if trained else []
    return [
        row["layer"],
        str(row["channels"]),
        str(row["pixels"]),
        *map(_number, away),
        *(_number(noise) for noise in row["noise_var"].values()),
        str(row["enough"] or "-"),
    ]


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's line of `diagnosis.csv`."""
    return {
        **{key: row[key] for key in ("layer", "channels", "pixels", "enough")},
        **{f"distance_{key.removeprefix('running_')}": value for key, value in row["distances"].items()},
        **{f"noise_mean_{n}": value for n, value in row["noise_mean"].items()},
        **{f"noise_var_{n}": value for n, value in row["noise_var"].items()},
    }


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return "σ²=0" if math.isinf(value) else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def write_diagnosis(
    directory: Path, rows: Sequence[Mapping[str, Any]], bound: float, title: str
) -> list[Path]:
    """Write diagnosis.csv and the figure, as PNG and SVG; their paths. Raises `StorageError`."""
    make_directory(directory)
    text = io.StringIO()
    table = csv.DictWriter(text, list(flat(rows[0])), restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(flat(row) for row in rows)
    with drawing():
        figure = draw_diagnosis(rows, bound, title)
        files = {"csv": text.getvalue().encode()} | {kind: render(figure, kind) for kind in ("png", "svg")}
    paths = {directory / f"diagnosis.{kind}": data for kind, data in files.items()}
    for path, data in paths.items():
        write_bytes(path, data)
    return list(paths)


def draw_diagnosis(rows: Sequence[Mapping[str, Any]], bound: float, title: str) -> Figure:
    """Layers from top to bottom, normalization batches from left to right; the colour is the noise of σ²_B.

    A line separates what is at or above the bound; crosses are where σ²_B = 0.
    """
    sizes = list(rows[0]["noise_var"])
    noise = [[row["noise_var"][n] for n in sizes] for row in rows]
    figure = Figure(figsize=(1.6 + 0.55 * len(sizes) + 1.2, max(2.4, 1.4 + 0.2 * min(len(rows), 60))))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    shown = [[min(max(value, LEAST), MOST) for value in row] for row in noise]
    image = axes.imshow(shown, cmap="viridis_r", norm=LogNorm(LEAST, MOST), aspect="auto")
    for y, row in enumerate(noise):
        _bound_line(axes, y, row, bound)
        for x, value in enumerate(row):
            if math.isinf(value):
                axes.plot(x, y, "x", color="white", markersize=5)
    axes.set_xticks(range(len(sizes)), [str(n) for n in sizes])
    axes.set_xlabel("images of a normalization batch")
    if len(rows) <= NAMED_LAYERS:
        axes.set_yticks(range(len(rows)), [row["layer"] for row in rows])
    else:
        axes.set_ylabel(f"{len(rows)} layers, the first at the top")
    axes.grid(visible=False)
    axes.set_title(title, loc="left")
    bar = figure.colorbar(image, ax=axes, label="noise of σ²: standard deviation / mean")
    bar.set_ticks([0.01, 0.03, 0.1, 0.3, 1, 2], labels=["0.01", "0.03", "0.1", "0.3", "1", "2"])
    bar.ax.axhline(bound, color="#D55E00", linewidth=2)
    crosses = "; x: one value per channel, σ² = 0, cannot train" if _any_infinite(noise) else ""
    figure.supxlabel(f"orange: noise {bound:g}{crosses}", fontsize="small", color=FAINT)
    return figure


def _bound_line(axes: Any, y: int, row: Sequence[float], bound: float) -> None:
    """To the left of it the noise is at or above the bound."""
    above = [x for x, value in enumerate(row) if value >= bound]
    x = max(above, default=-1) + 0.5
    axes.plot([x, x], [y - 0.5, y + 0.5], color="#D55E00", linewidth=2, solid_capstyle="butt")


def _any_infinite(noise: Sequence[Sequence[float]]) -> bool:
    return any(math.isinf(value) for row in noise for value in row)
