"""`bnrepro plot`: from sweep directories to tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bnrepro.analysis.caption import describe_figure, describe_setup, shorten
from bnrepro.analysis.curves import Curve, draw_curves, read_points
from bnrepro.analysis.effects import find_effects
from bnrepro.analysis.figure import X_ORDERS, draw_figure
from bnrepro.analysis.reference import REFERENCES, Reference
from bnrepro.analysis.results import Results, load_results
from bnrepro.analysis.series import select_series
from bnrepro.analysis.style import FORMATS, render
from bnrepro.analysis.tensorboard_view import show_images
from bnrepro.analysis.text import effect_table, latex, markdown, plain
from bnrepro.config.errors import Damaged, StorageError, UsageError, check_choice
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir.files import make_directory, write_bytes, write_text
from bnrepro.rundir.record import METRICS

NO_REFERENCE = "none"
TEXTS = {"md": markdown, "tex": latex}
"""The formats of the table of effects."""


@dataclass(frozen=True)
class Plots:
    """What was written, the effects as lines for a terminal, and what a reader should know."""

    written: tuple[Path, ...]
    effects: tuple[str, ...]
    notes: tuple[str, ...]
    damaged: bool
    """Was something left out that cannot be believed?"""


def write_plots(
    sweep_dirs: Sequence[Path],
    *,
    out: Path | None = None,
    formats: Sequence[str] = FORMATS,
    statistics: Sequence[str] = ("running",),
    reference: str | None = None,
    x_order: str = X_ORDERS[0],
    baseline: int | None = None,
) -> Plots:
    """Write the tables, the figure and the learning curves of sweeps, also of unfinished ones.

    `out` defaults to the one sweep directory; `reference` to the experiment's (`none` for none);
    `baseline`, the batch size to compare the others with, to each norm's best (`find_effects`). The figures
    also go into `tensorboard/` beside the tables, unless one sweep is drawn elsewhere, which is then only
    read. Raises `UsageError` for bad arguments, for what is not a sweep, and for results of different
    configs, and `StorageError`.
    """
    _check(sweep_dirs, out, formats, statistics, reference, x_order)
    results = load_results(sweep_dirs)
    effects = _effects(results, baseline)
    table = effect_table(effects[effects["statistics"].isin(statistics)], "batch_size")
    figures, notes = _draw(results, statistics, _reference(results, reference), x_order)
    # TensorBoard takes PNG, whatever is asked for
    images = {name: render(figure, "png") for name, figure in figures.items()}
    target = out or Path(sweep_dirs[0])
    written = _write_tables(results, effects, target)
    for extension in (extension for extension in formats if extension in TEXTS):
        written.append(target / f"effects.{extension}")
        write_text(written[-1], TEXTS[extension](table))
    for name, figure in figures.items():
        for extension in (extension for extension in formats if extension in FORMATS):
            written.append(target / f"{name}.{extension}")
            write_bytes(written[-1], images[name] if extension == "png" else render(figure, extension))
    if len(sweep_dirs) > 1 or target.resolve() == Path(sweep_dirs[0]).resolve():
        written.append(target / "tensorboard")
        show_images(written[-1], images)
    lines = (*plain(table), *table.notes)
    return Plots(tuple(written), lines, (*_state(results), *notes), bool(results.damaged))


def _check(
    sweep_dirs: Sequence[Path],
    out: Path | None,
    formats: Sequence[str],
    statistics: Sequence[str],
    reference: str | None,
    x_order: str,
) -> None:
    for value in formats:
        check_choice("--format", value, (*FORMATS, *TEXTS))
    for value in statistics:
        check_choice("--statistics", value, STATISTICS)
    if reference is not None:
        check_choice("--reference", reference, (*REFERENCES, NO_REFERENCE))
    check_choice("--x-order", x_order, X_ORDERS)
    if out is None and len(sweep_dirs) > 1:
        raise UsageError(f"--out: needed with {len(sweep_dirs)} sweep directories; give a directory")


def _reference(results: Results, asked: str | None) -> Reference | None:
    """The one asked for, else the experiment's. Raises `UsageError` where sweep.json names no such one."""
    name = asked or next((sweep.reference for sweep in results.sweeps if sweep.reference), NO_REFERENCE)
    if name == NO_REFERENCE:
        return None
    check_choice("sweep.reference", name, tuple(REFERENCES))
    return REFERENCES[name]


def _curves(results: Results) -> tuple[list[Curve], list[str]]:
    """Every finished cell once, also where two sweeps have it; and a line for each that cannot be read."""
    curves: dict[str, Curve] = {}
    damaged = []
    for sweep, table in zip(results.sweeps, results.tables, strict=True):
        for cell in table.itertuples():
            if cell.id in curves:
                continue
            try:
                points = read_points(sweep.run_directory(cell.id) / METRICS)
            except Damaged as error:
                damaged.append(f"curves: {cell.id} is left out: {error}")
                continue
            if len(points):
                curves[cell.id] = Curve(
                    cell.norm, int(cell.batch_size), cell.shared, cell.status == "diverged", points
                )
    return list(curves.values()), damaged


def _curves_caption(results: Results, curves: Sequence[Curve]) -> str:
    cross = " × diverged." if any(curve.diverged for curve in curves) else ""
    return f"{describe_setup(results.table)} One line per cell, under running statistics.{cross}"


def _draw(
    results: Results, statistics: Sequence[str], reference: Reference | None, x_order: str
) -> tuple[dict[str, Figure], list[str]]:
    """The figures by name, and notes on what they lack."""
    series, notes = select_series(results.summary, results.batch_norms, statistics)
    if not series:
        raise UsageError(f"nothing to draw: {'; '.join([*_state(results), *notes])}")
    if reference and not {point.norm for point in reference.points} & {line.norm for line in series}:
        notes.append(f"reference: {reference.label} has none of these norms; not drawn")
        reference = None
    caption = describe_figure(results.table, series, results.batch_norms, len(results.planned))
    figures = {"figure": draw_figure(series, caption=caption, reference=reference, x_order=x_order)}
    curves, damaged = _curves(results)
    notes += damaged
    if curves:
        figures["curves"] = draw_curves(curves, _curves_caption(results, curves))
    return figures, notes


def _effects(results: Results, baseline: int | None) -> pd.DataFrame:
    sizes = [int(size) for size in results.summary["batch_size"].unique()]
    if baseline is not None:
        check_choice("--baseline", baseline, sizes)
    return find_effects(results.summary, baseline=baseline)


def _write_tables(results: Results, effects: pd.DataFrame, target: Path) -> list[Path]:
    try:
        make_directory(target)
    except StorageError as error:
        raise UsageError(f"--out {error}; or choose another") from error
    frames = {"table": results.table, "summary": results.summary, "effects": effects}
    paths = [target / f"{name}.csv" for name in frames]
    for path, frame in zip(paths, frames.values(), strict=True):
        write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    return paths


def _state(results: Results) -> list[str]:
    """What the figure does not have: cells without result, and failed ones."""
    planned = results.planned
    finished = set(results.table["id"])
    missing = [cell_id for cell_id in planned if cell_id not in finished and cell_id not in results.damaged]
    notes = [f"damaged: {cell_id} is left out: {why}" for cell_id, why in results.damaged.items()]
    if missing:
        notes.append(
            f"missing: {len(missing)} of {len(planned)} cells have no result yet: {shorten(missing)}"
        )
    failed = results.table[results.table["status"] == "failed"]
    if len(failed):
        first = failed.iloc[0]
        notes.append(
            f"failed: {len(failed)} of {len(planned)} cells: {shorten(list(failed['id']))}; "
            f"{first['id']}: {' '.join(first['message'].split())}"
        )
    return notes
