"""`bnrepro plot`: from sweep directories to tables and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bnrepro.analysis import kept
from bnrepro.analysis.caption import describe_figure, describe_setup, shorten
from bnrepro.analysis.curves import draw_curves, read_curves
from bnrepro.analysis.effects import find_effects
from bnrepro.analysis.figure import DEFAULT, Options, draw_figure, in_legend
from bnrepro.analysis.names import LABELS, Names, norm_names
from bnrepro.analysis.placing import X_ORDERS
from bnrepro.analysis.reference import REFERENCES, Reference
from bnrepro.analysis.results import Results, load_results
from bnrepro.analysis.series import select_series
from bnrepro.analysis.style import FORMATS, LOOKS, render
from bnrepro.analysis.text import TextTable, effect_table, latex, markdown, plain
from bnrepro.analysis.x_axis import BATCH_SIZE
from bnrepro.config.errors import StorageError, UsageError, check_choice
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir.boards import sweep_board
from bnrepro.rundir.files import make_directory, write_bytes
from bnrepro.sweep.directory import SWEEP

NO_REFERENCE = "none"
CARD, CARD_DPI = (4.4, 3.7), 75
"""Inches and dots per inch of a card in TensorBoard's IMAGES tab, 330 pixels wide."""
TEXTS = {"md": markdown, "tex": latex}
"""The formats of the table of effects."""


@dataclass(frozen=True)
class Choice:
    """What of the results is drawn."""

    statistics: tuple[str, ...] = ("running",)
    norms: tuple[str, ...] | None = None
    values: tuple[float, ...] | None = None
    """Of the axis; None, as with `norms`: all."""
    reference: str | None = None
    """Published points beside ours; None: the experiment's, `none`: none."""
    baseline: float | None = None
    """The x that the others are compared with; None: each norm's best (`find_effects`)."""
    labels: str = LABELS[0]


@dataclass(frozen=True)
class Plots:
    """What was written, the effects as lines for a terminal, and what a reader should know."""

    written: tuple[Path, ...]
    effects: tuple[str, ...]
    notes: tuple[str, ...]
    damaged: bool
    """Was something left out that cannot be believed?"""


EVERYTHING = Choice()


def write_plots(
    sweep_dirs: Sequence[Path],
    *,
    out: Path | None = None,
    formats: Sequence[str] = FORMATS,
    choice: Choice = EVERYTHING,
    options: Options = DEFAULT,
) -> Plots:
    """Write the tables, the figure and the learning curves of sweeps, also of unfinished ones.

    `out` defaults to the one directory given. Elsewhere, `sweep.json` and `metrics.csv` are written too, so
    that `out` can be drawn again without the runs. The tables have everything, whatever `choice` draws.
    Raises `UsageError` for bad arguments, for what is not a sweep, and for results that do not go together.
    """
    for name in formats:
        check_choice("--format", name, (*FORMATS, *TEXTS))
    check_choices(choice, options)
    if out is None and len(sweep_dirs) > 1:
        raise UsageError(f"--out: needed with {len(sweep_dirs)} directories; give one to write into")
    results = load_results(sweep_dirs)
    effects = _effects(results, choice.baseline)
    figure, notes = draw_results(results, choice, options)
    figures = {"figure": figure, **_draw_curves(results, choice, options, notes)}
    names = norm_names([sweep.plan for sweep in results.sweeps], choice.labels)
    files = _tables(results, effects, own=out is None)
    for extension in (name for name in formats if name in TEXTS):
        files[f"effects.{extension}"] = TEXTS[extension](_chosen(effects, results, choice, names)).encode()
    for name, figure in figures.items():
        files |= {f"{name}.{kind}": render(figure, kind) for kind in FORMATS if kind in formats}
    target = out or Path(sweep_dirs[0])
    written = _write(files, target)
    if out is None and results.sweeps[0].kind == "sweep" and results.sweeps[0].base.get("tensorboard", True):
        written += _show(results, choice, options, notes)
    table = _chosen(effects, results, choice, str)
    lines = (*plain(table), *table.notes)
    return Plots(tuple(written), lines, (*_state(results), *notes), bool(results.damaged))


def draw_results(results: Results, choice: Choice, options: Options) -> tuple[Figure, list[str]]:
    """Error against the axis, and notes on what the figure lacks. Raises `UsageError` for bad choices."""
    check_choices(choice, options)
    reference = find_reference(results, choice.reference)
    results = results.only(choice.norms, choice.values)
    names = norm_names([sweep.plan for sweep in results.sweeps], choice.labels)
    series, notes = select_series(results, choice.statistics, names)
    if not any(line.drawn for line in series):
        raise UsageError(f"nothing to draw: {'; '.join([*_state(results), *notes])}")
    if reference and not {point.norm for point in reference.points} & {line.norm for line in series}:
        notes.append(f"reference: {reference.label} has none of these norms; not drawn")
        reference = None
    more = [f"Faint, with open marks: {reference.label}."] if reference and not in_legend(series) else []
    figure = draw_figure(
        series,
        axis=results.axis,
        names=names,
        caption=describe_figure(results, series, names, more),
        options=options,
        reference=reference,
        chance=results.chance,
    )
    return figure, notes


def _draw_curves(results: Results, choice: Choice, options: Options, notes: list[str]) -> dict[str, Figure]:
    results = results.only(choice.norms, choice.values)
    curves, damaged = read_curves(results)
    notes += damaged
    if not curves:
        return {}
    names = norm_names([sweep.plan for sweep in results.sweeps], choice.labels)
    cross = " × diverged." if any(curve.diverged for curve in curves) else ""
    about = f"One line per run, under running statistics; at its end: {results.axis.label}.{cross}"
    return {"curves": draw_curves(curves, f"{describe_setup(results)} {about}", names, options)}


def check_choices(choice: Choice, options: Options) -> None:
    """Raises `UsageError` for a choice that there is not."""
    for value in choice.statistics:
        check_choice("--statistics", value, STATISTICS)
    if choice.reference is not None:
        check_choice("--reference", choice.reference, (*REFERENCES, NO_REFERENCE))
    check_choice("--labels", choice.labels, LABELS)
    check_choice("--style", options.style, tuple(LOOKS))
    if options.x_order is not None:
        check_choice("--x-order", options.x_order, X_ORDERS)


def find_reference(results: Results, asked: str | None) -> Reference | None:
    """The one asked for, else the experiment's. Raises `UsageError` where sweep.json names no such one."""
    name = asked or next((sweep.reference for sweep in results.sweeps if sweep.reference), NO_REFERENCE)
    if name == NO_REFERENCE:
        return None
    check_choice("sweep.reference", name, tuple(REFERENCES))
    if results.axis.key != BATCH_SIZE:
        raise UsageError(
            f"--reference {name}: its points stand at batch sizes, and this is a sweep over "
            f"{results.axis.key}; leave it out"
        )
    return REFERENCES[name]


def _effects(results: Results, baseline: float | None) -> pd.DataFrame:
    x = results.axis.column
    if baseline is not None:
        check_choice("--baseline", f"{baseline:g}", [f"{value:g}" for value in results.summary[x].unique()])
    return find_effects(results.summary, x, baseline)


def _chosen(effects: pd.DataFrame, results: Results, choice: Choice, names: Names) -> TextTable:
    """The table of the effects that are drawn."""
    x = results.axis.column
    keep = effects["statistics"].isin(choice.statistics) | ~effects["norm"].isin(results.batch_norms)
    if choice.norms is not None:
        keep &= effects["norm"].isin(choice.norms)
    if choice.values is not None:
        keep &= effects[x].isin(choice.values)
    named = effects[keep].rename(columns={x: results.axis.key})
    return effect_table(named, results.axis.key, names)


def _tables(results: Results, effects: pd.DataFrame, own: bool) -> dict[str, bytes]:
    """The CSV files. `own`: they go into the sweep's own directory, which has the rest already."""
    frames = {kept.TABLE: results.table, "summary.csv": results.summary, "effects.csv": effects}
    files = {name: frame.to_csv(index=False, lineterminator="\n").encode() for name, frame in frames.items()}
    if not own and results.variants.key is None:
        plan = kept.one_plan([sweep.plan for sweep in results.sweeps])
        files[SWEEP] = (json.dumps(plan, indent=2, ensure_ascii=False) + "\n").encode()
        files[kept.METRICS] = kept.write_metrics(results.metrics()).encode()
    return files


def _write(files: Mapping[str, bytes], target: Path) -> list[Path]:
    try:
        make_directory(target)
    except StorageError as error:
        raise UsageError(f"--out {error}; or choose another") from error
    for name, content in files.items():
        write_bytes(target / name, content)
    return [target / name for name in files]


def _show(results: Results, choice: Choice, options: Options, notes: list[str]) -> list[Path]:
    """Put the figure into the sweep's TensorBoard, as large as it shows images; the curves are there."""
    from bnrepro.analysis.tensorboard_view import show_images
    from bnrepro.rundir.tensorboard import EXPERIMENT, write_experiment

    view = sweep_board(results.sweeps[0].path)
    figure, _ = draw_results(results, choice, replace(options, style="paper", size=CARD, caption=False))
    try:
        show_images(view, {"figure": render(figure, "png", dpi=CARD_DPI)})
        if not any(view.glob(f"*{EXPERIMENT}")):  # a sweep of an earlier version
            write_experiment(results.sweeps[0].path, results.sweeps[0].plan)
    except (StorageError, UsageError) as error:  # it is a view; the files are the result
        notes.append(f"tensorboard: {error}")
        return []
    return [view]


def _state(results: Results) -> list[str]:
    """What the figure does not have: cells without result, and failed ones."""
    notes = [f"damaged: {cell} is left out: {why}" for cell, why in results.damaged.items()]
    if missing := results.missing:
        notes.append(
            f"missing: {len(missing)} of {len(results.planned)} cells have no result yet: {shorten(missing)}"
        )
    failed = results.table[results.table["status"] == "failed"]
    if len(failed):
        first = failed.iloc[0]
        notes.append(
            f"failed: {len(failed)} of {len(results.planned)} cells: {shorten(list(failed['id']))}; "
            f"{first['id']}: {' '.join(first['message'].split())}"
        )
    return notes
