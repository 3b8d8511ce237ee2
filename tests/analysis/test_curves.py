"""Learning curves: a run would be missing, or end where it did not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bnrepro.analysis.curves import RASTERIZE_ABOVE, Curve, draw_curves, read_points
from bnrepro.analysis.plot import write_plots


def curve(
    norm: str = "bn", batch_size: int = 4, shared: bool = False, diverged: bool = False, epochs: int = 3
) -> Curve:
    points = np.column_stack([np.arange(1, epochs + 1), np.linspace(80, 50, epochs)])
    return Curve(norm, batch_size, shared, diverged, points)


def test_points_are_epoch_and_running_error_and_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = [{"epoch": epoch, "error": {"running": 90 - epoch}} for epoch in (1, 2)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 3, "err')
    assert read_points(file).tolist() == [[1, 89], [2, 88]]


def test_a_run_without_metrics_has_no_points(tmp_path: Path) -> None:
    assert read_points(tmp_path / "metrics.jsonl").shape == (0, 2)


def test_a_panel_per_norm_and_a_line_per_cell() -> None:
    figure = draw_curves([curve("bn", 1), curve("bn", 256), curve("gn", 1)], "caption")
    bn, gn = (axes for axes in figure.axes if axes.get_title())
    assert (bn.get_title(), gn.get_title()) == ("bn", "gn")
    assert [len(axes.collections[0].get_segments()) for axes in (bn, gn)] == [2, 1]
    assert bn.get_ylim() == gn.get_ylim()


def test_a_cross_ends_a_diverged_run_and_a_single_point_is_visible() -> None:
    figure = draw_curves([curve(diverged=True), curve(batch_size=8, epochs=1)], "caption")
    _, crosses, dots = figure.axes[0].collections
    assert crosses.get_offsets().tolist() == [[3, 50]]
    assert dots.get_offsets().tolist() == [[1, 80]]


def test_norms_trained_once_are_named_and_have_no_batch_sizes_colour() -> None:
    figure = draw_curves([curve("gn", 256, shared=True)], "caption")
    assert [axes.get_title() for axes in figure.axes] == ["gn (sees no batch)"]


def test_thousands_of_lines_are_a_picture_in_vector_files() -> None:
    figure = draw_curves([curve() for _ in range(RASTERIZE_ABOVE + 1)], "caption")
    assert figure.axes[0].collections[0].get_rasterized()


def test_a_sweep_without_metrics_has_the_figure_but_no_curves(sweep) -> None:
    path = sweep(norms=("bn",), batch_sizes=(1, 2), metrics=False)
    plots = write_plots([path], formats=["png"])
    assert [file.name for file in plots.written] == [
        *("table.csv", "summary.csv", "effects.csv", "figure.png", "tensorboard")
    ]
