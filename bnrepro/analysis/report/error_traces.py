"""What is drawn in the figure to hover: lines, seeds, bands, the strip, published points, chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from bnrepro.analysis.lines import interval_of
from bnrepro.analysis.reference import Reference
from bnrepro.analysis.report.chart import numbers, text
from bnrepro.analysis.report.colors import FAINT
from bnrepro.analysis.series import Series
from bnrepro.analysis.strip import Row
from bnrepro.analysis.style import Style

SYMBOLS = {
    "o": ("circle", "●"),
    "s": ("square", "■"),
    "^": ("triangle-up", "▲"),
    "8": ("octagon", "⯃"),
    "d": ("diamond-tall", "⬧"),
    "h": ("hexagon", "⬡"),
    "P": ("cross", "✚"),
    "X": ("x", "✖"),
    "D": ("diamond", "◆"),
    "v": ("triangle-down", "▼"),
    "p": ("pentagon", "⬟"),
    "*": ("star", "★"),
    "<": ("triangle-left", "◀"),
    ">": ("triangle-right", "▶"),
    "H": ("hexagon2", "⬢"),
}
"""Of matplotlib's markers: plotly's, and a sign for the switches."""
OTHER_SYMBOL = ("star-diamond", "✦")
STATISTICS_DASHES = {"running": "solid", "precise": "dash", "batch": "dot"}
VARIANT_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
BESIDE = 0.018
"""Of the axis's length, from a mean to its seeds."""
MOST_SEEDS = 8
"""In a label; all of them stand beside the figure."""
FEW_MARKS = 2
"""In a row of the strip, that there is room for words."""
NEAR_CHANCE = 0.85
GAP = "\u00a0"
"""Between a mark and its words."""


def symbol_of(style: Style) -> tuple[str, str]:
    """Plotly's symbol, and a sign like it."""
    return SYMBOLS.get(style.marker, OTHER_SYMBOL) if isinstance(style.marker, str) else OTHER_SYMBOL


def detail_key(norm: str, x: float, variant: str | None) -> str:
    """What a point is known by."""
    return f"{norm} {x:g} {variant or ''}"


def add_line(
    figure: go.Figure, line: Series, style: Style, variants: Sequence[str | None], shift: float
) -> None:
    """Means with intervals, and the single seeds; for a norm that was trained once a line and a band.

    `shift`: how far to the right it moves, in lengths of the axis.
    """
    low, high = interval_of(line)
    if line.shared and np.isfinite(low).any():
        _add_band(figure, line, style)
    dash = STATISTICS_DASHES[line.statistics or "running"]
    if len(variants) > 1:
        dash = VARIANT_DASHES[variants.index(line.variant) % len(VARIANT_DASHES)]
    symbol = symbol_of(style)[0] + ("-open" if line.statistics not in (None, "running") else "")
    figure.add_scatter(
        x=_moved(figure, line.x, shift),
        y=numbers(line.mean),
        mode="lines+markers",
        line={"color": style.color, "dash": dash, "width": 2},
        marker={"color": style.color, "symbol": symbol, "size": 9},
        error_y={} if line.shared else _bars(line, low, high, style),
        hovertext=_hover(line, low, high),
        connectgaps=False,
        **_about(line, line.x),
    )
    if len(line.seeds) > np.count_nonzero(line.n) and not line.shared:
        x, errors = line.seeds.T
        figure.add_scatter(
            x=_moved(figure, x, shift + BESIDE),
            y=numbers(errors),
            mode="markers",
            marker={"color": style.color, "size": 5, "opacity": 0.5},
            hovertext=[
                f"{text(line.label)} at {at:g}, one seed<br>{error:.2f} %" for at, error in line.seeds
            ],
            **_about(line, x),
        )


def add_strip(figure: go.Figure, rows: Sequence[Row], styles: Mapping[str, Style]) -> None:
    """A row per norm with failed or diverged runs, on the second y axis."""
    low, high = figure.layout.xaxis.range
    for place, row in enumerate(rows):
        at = [(_on_axis(figure, mark.x) - low) / (high - low) for mark in row.marks]
        color = styles[row.norm].color
        figure.add_scatter(
            x=[mark.x for mark in row.marks],
            y=[place] * len(row.marks),
            yaxis="y2",
            mode="markers+text",
            marker={
                "symbol": "x-thin" if row.marks[0].failed else "circle-open",
                "color": color,
                "size": 9,
                "line": {"color": color, "width": 2},
            },
            text=_strip_words(row),
            textposition=["middle left" if value > 0.5 else "middle right" for value in at],
            textfont={"size": 11},
            hovertext=[f"<b>{text(row.name)} at {mark.x:g}</b><br>{mark.words}" for mark in row.marks],
            hoverinfo="text",
            customdata=[detail_key(row.norm, mark.x, row.variant) for mark in row.marks],
            cliponaxis=False,
            name=text(row.name),
            meta={"on": {"norm": row.norm}},
        )


def add_published(figure: go.Figure, reference: Reference, styles: Mapping[str, Style]) -> None:
    """A paper's points, of the norms that the figure has."""
    for norm in dict.fromkeys(point.norm for point in reference.points if point.norm in styles):
        points = [point for point in reference.points if point.norm == norm]
        color = styles[norm].color
        figure.add_scatter(
            x=[point.batch_size for point in points],
            y=[point.error for point in points],
            mode="lines+markers",
            opacity=0.55,
            line={"color": color, "width": 1},
            marker={"color": color, "symbol": "circle-open", "size": 8},
            hovertext=[f"{text(reference.label)}<br>{norm} at {p.batch_size}: {p.error:g} %" for p in points],
            hoverinfo="text",
            name=text(reference.label),
            meta={"on": {"norm": norm, "published": "published"}},
        )


def add_chance(figure: go.Figure, chance: float, series: Sequence[Series]) -> None:
    """The error of guessing, where lines come near it: else it would press them together."""
    known = np.concatenate([*(line.mean for line in series), *(line.seeds[:, 1] for line in series)])
    if not np.isfinite(known).any() or np.nanmax(known) < NEAR_CHANCE * chance:
        return
    ends = np.array(figure.layout.xaxis.range, dtype=float)
    figure.add_scatter(
        x=numbers(10**ends if figure.layout.xaxis.type == "log" else ends),
        y=[chance, chance],
        mode="lines+text",
        line={"color": FAINT, "width": 1, "dash": "dot"},
        text=["", "chance"],
        textposition="top left",
        textfont={"color": FAINT, "size": 11},
        hoverinfo="skip",
        name="chance",
    )


def _about(line: Series, x: Sequence[float] | np.ndarray) -> dict[str, Any]:
    on = {"norm": line.norm, "statistics": line.statistics, "variant": line.variant}
    return {
        "hoverinfo": "text",
        "customdata": [detail_key(line.norm, float(at), line.variant) for at in x],
        "name": text(line.label),
        "meta": {"on": {group: value for group, value in on.items() if value is not None}},
    }


def _bars(line: Series, low: np.ndarray, high: np.ndarray, style: Style) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": numbers(high - line.mean),
        "arrayminus": numbers(line.mean - low),
        "color": style.color,
        "thickness": 1.2,
        "width": 4,
    }


def _add_band(figure: go.Figure, line: Series, style: Style) -> None:
    about = _about(line, ())
    figure.add_scatter(
        x=numbers([*line.x, *line.x[::-1]]),
        y=numbers([*line.low, *line.high[::-1]]),
        fill="toself",
        fillcolor=style.color,
        opacity=0.13,
        mode="none",
        hoverinfo="skip",
        name=about["name"],
        meta=about["meta"],
    )


def _hover(line: Series, low: np.ndarray, high: np.ndarray) -> list[str]:
    seeds: dict[float, list[float]] = defaultdict(list)
    for x, error in line.seeds:
        # of a norm that was trained once, the same at every x
        for at in line.x if line.shared else (x,):
            seeds[float(at)].append(error)
    return [
        "<br>".join(_hover_lines(line, place, seeds[float(x)], low[place], high[place]))
        for place, x in enumerate(line.x)
    ]


def _hover_lines(line: Series, place: int, seeds: Sequence[float], low: float, high: float) -> list[str]:
    n, diverged = line.n[place], line.n_diverged[place]
    lines = [f"<b>{text(line.label)} at {'all sizes' if line.shared else f'{line.x[place]:g}'}</b>"]
    lines.append(f"{line.mean[place]:.2f} % (n = {n})")
    if np.isfinite(low):
        lines.append(f"95 % interval {low:.2f} to {high:.2f}")
    if len(seeds) > 1:
        more = " …" if len(seeds) > MOST_SEEDS else ""
        lines.append(f"seeds {', '.join(f'{error:.2f}' for error in seeds[:MOST_SEEDS])}{more}")
    if diverged:
        lines.append(f"{diverged} diverged: counted with the error of chance")
    return lines


def _strip_words(row: Row) -> list[str]:
    if len(row.marks) > FEW_MARKS:
        return [f"{GAP}{mark.short}{GAP}" for mark in row.marks]
    return [
        f"{GAP}{'' if number else f'{text(row.name)}: '}{mark.words}{GAP}"
        for number, mark in enumerate(row.marks)
    ]


def _on_axis(figure: go.Figure, x: float) -> float:
    """In the unit of the axis's range."""
    return float(np.log10(x)) if figure.layout.xaxis.type == "log" else x


def _moved(figure: go.Figure, x: np.ndarray, share: float) -> list[float | None]:
    """To the right by a share of the axis's length, whichever way it runs."""
    left, right = figure.layout.xaxis.range
    shift = share * (right - left)
    return numbers(x * 10**shift if figure.layout.xaxis.type == "log" else x + shift)
