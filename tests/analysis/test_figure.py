"""The figure says what the numbers say, to every reader."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bnrepro.analysis.caption import describe_figure
from bnrepro.analysis.figure import draw_figure
from bnrepro.analysis.reference import REFERENCES
from bnrepro.analysis.results import load_results
from bnrepro.analysis.series import select_series
from bnrepro.analysis.style import NORM_STYLES, norm_styles

SIZES = (1, 2, 4, 8)


def drawn(path, statistics=("running",), **options) -> tuple[Figure, str]:
    results = load_results([path])
    series, _ = select_series(results.summary, results.batch_norms, statistics)
    caption = describe_figure(results.table, series, results.batch_norms, len(results.planned))
    # a line may not end inside "n = 3 seeds"
    return draw_figure(series, caption=caption, **options), caption.replace("\u00a0", " ")


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def line_of(figure: Figure, norm: str):
    color = NORM_STYLES[norm].color
    (line,) = (
        line
        for line in figure.axes[-1].lines
        if to_hex(line.get_color()).upper() == color and line.get_marker() != "_" and line.get_alpha() is None
    )
    return line


def test_x_runs_from_large_to_small_as_wu_and_hes_unless_asked(sweep) -> None:
    path = sweep(batch_sizes=SIZES)
    left, right = drawn(path)[0].axes[-1].get_xlim()
    assert left > right
    left, right = drawn(path, x_order="small-to-large")[0].axes[-1].get_xlim()
    assert left < right


def test_the_axis_is_log2_with_every_batch_size_written(sweep) -> None:
    axes = drawn(sweep(batch_sizes=SIZES))[0].axes[-1]
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8"]


def test_points_are_the_means(sweep) -> None:
    figure, _ = drawn(
        sweep(
            norms=("bn",),
            batch_sizes=SIZES,
            error=lambda _, size, seed: {"running": 40 + size + seed},
            seeds=(0, 1, 2),
        )
    )
    assert line_of(figure, "bn").get_ydata() == pytest.approx([42, 43, 45, 49])


def test_one_seed_has_no_interval_and_says_so(sweep) -> None:
    figure, caption = drawn(sweep(batch_sizes=SIZES))
    assert "n = 1 seed: no interval." in caption
    assert all(not len(bars.get_segments()) for bars in figure.axes[-1].collections)


def test_several_seeds_have_intervals_that_do_not_cover_each_other(sweep) -> None:
    figure, caption = drawn(sweep(batch_sizes=SIZES, seeds=(0, 1, 2)))
    assert "n = 3 seeds: mean and 95 % t-interval of the mean." in caption
    x = [bar[0][0] for bars in figure.axes[-1].collections for bar in bars.get_segments()]
    assert len(x) == len(set(x)) == 12


def test_diverged_runs_are_counted_at_the_top_and_have_no_point_where_all_diverged(sweep) -> None:
    states = {f"bn-b1-s{seed}": "diverged" for seed in range(3)} | {"bn-b2-s0": "diverged"}
    figure, caption = drawn(sweep(batch_sizes=SIZES, seeds=(0, 1, 2), states=states))
    strip = figure.axes[0]
    assert [text.get_text() for text in strip.texts] == ["3 of 3", "1 of 3"]
    assert np.isnan(line_of(figure, "bn").get_ydata()).tolist() == [True, False, False, False]
    assert "error of chance (90 %)" in caption


def test_failed_cells_are_said_and_leave_a_gap(sweep) -> None:
    figure, caption = drawn(sweep(batch_sizes=SIZES, states={"bn-b2-s0": "failed"}))
    assert "Failed, without an error: bn at batch_size 2 (1 run)." in caption
    assert np.isnan(line_of(figure, "bn").get_ydata()).tolist() == [False, True, False, False]


def test_a_partial_sweep_says_so_in_the_caption(sweep) -> None:
    _, caption = drawn(sweep(batch_sizes=SIZES, states={"bn-b2-s0": "missing"}))
    assert "Partial: 11 of 12 cells are finished." in caption


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("coupled", "sgd_batch_size = norm_batch_size = batch_size"),
        ("workers", "8 workers, sgd_batch_size = 8 × batch_size"),
        ("fixed_sgd", "sgd_batch_size = 256, norm_batch_size = batch_size"),
    ],
)
def test_caption_names_model_data_epochs_and_protocol(sweep, protocol: str, words: str) -> None:
    _, caption = drawn(sweep(batch_sizes=SIZES, protocol=protocol))
    assert caption.startswith(f"ResNet-8 on CIFAR-10 (image folder), 6 epochs, protocol {protocol} ({words}")


def test_a_norm_trained_once_is_a_horizontal_line_with_a_band(sweep) -> None:
    path = sweep(norms=("bn", "gn"), batch_sizes=SIZES, seeds=(0, 1, 2), protocol="fixed_sgd")
    figure, caption = drawn(path)
    assert len(set(line_of(figure, "gn").get_ydata())) == 1
    assert len(figure.axes[-1].patches) == 1
    assert "Horizontal: gn, which see no batch" in caption


def test_each_statistics_has_a_line_for_batch_norms_only(sweep) -> None:
    figure, _ = drawn(sweep(batch_sizes=SIZES), statistics=("running", "precise", "batch"))
    assert labels(figure) == ["bn, running", "bn, precise", "bn, batch", "gn", "none"]
    shapes = {
        (handle.get_linestyle(), handle.get_fillstyle()) for handle in figure.legends[0].legend_handles[:3]
    }
    assert len(shapes) == 3


def test_published_points_are_faint_and_named(sweep) -> None:
    figure, _ = drawn(sweep(norms=("gn", "bn"), batch_sizes=SIZES), reference=REFERENCES["wu_he_2018"])
    assert labels(figure) == ["gn", "bn", "Wu & He 2018,\nResNet-50, ImageNet", "gn", "bn"]
    faint = [line for line in figure.axes[-1].lines if line.get_alpha() == 0.5]
    assert sorted(faint[1].get_ydata()) == [23.6, 23.7, 24.8, 27.3, 34.7]


def test_a_norm_looks_the_same_in_every_figure() -> None:
    assert norm_styles(["gn", "bn"])["bn"] == norm_styles(["mine", "bn"])["bn"]
    mine, yours = norm_styles(["mine", "bn", "yours"]).keys() - {"bn"}
    assert norm_styles(["mine", "yours"])[mine] != norm_styles(["mine", "yours"])[yours]


def test_known_norms_differ_without_colour() -> None:
    """In grayscale marker and line remain."""
    styles = list(NORM_STYLES.values())
    for first, second in itertools.combinations(styles, 2):
        assert (first.marker, first.line) != (second.marker, second.line)
        assert first.color != second.color
    assert len({str(style.marker) for style in styles}) == len(styles)


def test_a_long_legend_does_not_reach_the_caption(sweep) -> None:
    norms = tuple(NORM_STYLES)
    path = sweep(norms=norms, batch_sizes=SIZES, states={"bn-b1-s0": "diverged"})
    figure, _ = drawn(path, statistics=("running", "precise", "batch"), reference=REFERENCES["wu_he_2018"])
    FigureCanvasAgg(figure).draw()
    caption = figure._supxlabel.get_window_extent()
    assert figure.legends[0].get_window_extent().y0 > caption.y1
    assert caption.x1 < figure.bbox.x1


def test_many_batch_sizes_keep_their_labels_apart(sweep) -> None:
    axes = drawn(sweep(norms=("bn",), batch_sizes=tuple(range(1, 41))))[0].axes[-1]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8", "16", "32"]
