"""Learning curves: a run would be missing, or end where it did not."""

from __future__ import annotations

import json

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bnrepro.analysis.curves import RASTERIZE_ABOVE, Curve, draw_curves, read_curves
from bnrepro.analysis.plot import write_plots
from bnrepro.analysis.results import load_results


def curve(
    norm: str = "bn", batch_size: float = 4.0, shared: bool = False, diverged: bool = False, epochs: int = 3
) -> Curve:
    points = np.column_stack([np.arange(1, epochs + 1), np.linspace(80, 50, epochs)])
    return Curve(norm, batch_size, shared, diverged, points)


def test_points_are_epoch_and_running_error_and_a_torn_last_line_is_left_out(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(4,))
    lines = [{"epoch": epoch, "step": epoch, "error": {"running": 90 - epoch}} for epoch in (1, 2)]
    file = path / "cells" / "bn-b4-s0" / "metrics.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 3, "err')
    (found,), _ = read_curves(load_results([path]))
    assert found.points.tolist() == [[1, 89], [2, 88]]


def test_a_run_that_diverged_before_its_first_evaluation_is_seen_at_chance(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(4,), states={"bn-b4-s0": "diverged"}, metrics=False)
    (found,), _ = read_curves(load_results([path]))
    assert (found.diverged, found.points.tolist()) == (True, [[0, 90]])


def test_a_panel_per_norm_and_a_line_per_cell() -> None:
    figure = draw_curves([curve("bn", 1), curve("bn", 256), curve("gn", 1)], "caption")
    bn, gn = (axes for axes in figure.axes if axes.get_title())
    assert (bn.get_title(), gn.get_title()) == ("bn", "gn")
    assert [len(axes.collections[0].get_segments()) for axes in (bn, gn)] == [2, 1]
    assert bn.get_ylim() == gn.get_ylim()


def test_batch_sizes_have_colours_of_their_own_and_stand_at_the_ends_of_their_lines() -> None:
    sizes = [2.0**power for power in range(8)]
    figure = draw_curves([curve(batch_size=size) for size in sizes], "caption")
    panel = figure.axes[0]
    assert sorted(text.get_text() for text in panel.texts) == sorted(f"{size:g}" for size in sizes)
    colors = {tuple(text.get_color()) for text in panel.texts}
    assert len(colors) == 8
    assert {tuple(color) for color in panel.collections[0].get_colors()} == colors
    FigureCanvasAgg(figure).draw()
    bottoms = sorted(text.get_window_extent().y0 for text in panel.texts)
    assert np.diff(bottoms).min() > 5


def test_a_cross_ends_a_diverged_run_and_a_single_point_is_visible() -> None:
    figure = draw_curves([curve(diverged=True), curve(batch_size=8, epochs=1)], "caption")
    lines, crosses, dots = figure.axes[0].collections
    assert crosses.get_offsets().tolist() == [[3, 50]]
    assert dots.get_offsets().tolist() == [[1, 80]]
    assert lines.get_linewidths()[-1] > lines.get_linewidths()[0]  # the diverged one, on top


def test_norms_trained_once_are_named_and_have_no_batch_sizes_colour() -> None:
    figure = draw_curves([curve("gn", 256, shared=True)], "caption")
    assert [axes.get_title() for axes in figure.axes] == ["gn\n(sees no batch)"]
    assert not figure.axes[0].texts


def test_thousands_of_lines_are_a_picture_in_vector_files() -> None:
    figure = draw_curves([curve() for _ in range(RASTERIZE_ABOVE + 1)], "caption")
    assert figure.axes[0].collections[0].get_rasterized()


def test_a_sweep_without_metrics_has_the_figure_but_no_curves(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1, 2), metrics=False)
    plots = write_plots([path], formats=["png"])
    assert [file.name for file in plots.written] == [
        *("table.csv", "summary.csv", "effects.csv", "figure.png", "sweep")
    ]
