"""What the page says of sweeps, ready for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bnrepro.analysis.caption import describe_figure, describe_setup
from bnrepro.analysis.effects import find_effects
from bnrepro.analysis.names import Names, norm_names
from bnrepro.analysis.plot import find_reference
from bnrepro.analysis.report.answer import find_answer, find_question
from bnrepro.analysis.report.cells import Cell, find_cells
from bnrepro.analysis.report.chart import Chart, Switch
from bnrepro.analysis.report.colors import PAGE, dark_versions, size_colors
from bnrepro.analysis.report.error_chart import Details, draw_errors
from bnrepro.analysis.report.provenance import Provenance, find_provenance
from bnrepro.analysis.report.run_charts import Panels, draw_curves, draw_inside, draw_speed
from bnrepro.analysis.report.tables import Ending, cost_table, find_endings, run_table, total_seconds
from bnrepro.analysis.results import Results, load_results
from bnrepro.analysis.text import TextTable, effect_table
from bnrepro.training.progress import clock


@dataclass(frozen=True)
class SweepPage:
    """The parts of the page."""

    title: str
    question: str
    answer: list[str]
    setup: str
    notices: list[str]
    """What must be known before a number is believed."""
    axis_key: str
    axis_label: str
    switches: list[Switch]
    caption: str
    effects: TextTable
    curves: Panels
    inside: Panels
    speed: Chart
    cost: str
    costs: TextTable
    endings: list[Ending]
    runs: TextTable
    commands: list[tuple[str, str]]
    missing: list[str]
    made: Provenance
    paths: list[str]
    damaged: list[str]
    charts: list[Chart]
    details: Details
    colors: dict[str, str]
    """Value of the axis, as text -> its colour in curves."""
    dark: dict[str, str]
    """Each colour of the charts -> the one on a dark page."""


def make_sweep_page(directories: Sequence[Path]) -> SweepPage:
    """Read and draw everything. Raises what `load_results` does."""
    results = load_results(directories)
    cells = find_cells(results)
    damaged: list[str] = list(results.damaged.values())
    by_key = {(cell.variant, cell.id): cell for cell in cells}
    lines = [(by_key[variant, row["id"]], metrics) for variant, row, metrics in results.runs(damaged)]
    names = norm_names([sweep.plan for sweep in results.sweeps])
    made = find_provenance(results, cells)
    damaged += made.damaged
    reference = find_reference(results, None)
    errors = draw_errors(results, cells, names, reference)
    colors, dark_steps = size_colors(cell.x for cell, metrics in lines if metrics and not cell.row["shared"])
    curves = draw_curves(results, lines, names, colors)
    inside = draw_inside(results, lines, names, colors)
    set_up = {key: errors.chart.figure.layout.xaxis[key] for key in ("type", "range", "tickvals", "ticktext")}
    speed = draw_speed(results, cells, names, set_up)
    effects = find_effects(results.summary, results.axis.column)
    return SweepPage(
        title=f"bnrepro: {results.sweeps[0].plan.get('experiment', 'sweep')}",
        question=find_question(results, names),
        answer=find_answer(results, effects, names),
        setup=describe_setup(results),
        notices=_notices(results, damaged),
        axis_key=results.axis.key,
        axis_label=results.axis.label,
        switches=errors.switches,
        caption=describe_figure(results, errors.series, names),
        effects=_effect_table(results, effects, names),
        curves=curves,
        inside=inside,
        speed=speed,
        cost=_cost(cells, made.devices),
        costs=cost_table(results, cells, names),
        endings=find_endings(cells),
        runs=run_table(cells),
        commands=[(cell.name, cell.command) for cell in cells],
        missing=results.missing,
        made=made,
        paths=[str(path) for path in directories],
        damaged=damaged,
        charts=[errors.chart, speed, *curves.charts, *inside.charts],
        details=errors.details,
        colors={f"{x:g}": color for x, color in colors.items()},
        dark={**PAGE, **dark_versions(errors.colors), **dark_steps},
    )


def _effect_table(results: Results, effects: pd.DataFrame, names: Names) -> TextTable:
    named = effects.rename(columns={results.axis.column: results.axis.key})
    return effect_table(named, results.axis.key, names)


def _notices(results: Results, damaged: Sequence[str]) -> list[str]:
    notices = [f"Left out: {line}" for line in damaged]
    if results.missing:
        done = f"{results.finished} of {len(results.planned)}"
        notices.append(f"Not finished: {done} runs have a result, and what stands here may change.")
    return notices


def _cost(cells: Sequence[Cell], devices: Sequence[str]) -> str:
    seconds = total_seconds(cells)
    runs = sum(pd.notna(cell.row["wall_seconds"]) for cell in cells)
    where = f" on {', '.join(devices)}" if devices else ""
    return (
        f"{runs} runs took {clock(seconds)} in all, one after another{where}; side by side they take less. "
        "Runs that failed are not counted."
    )
