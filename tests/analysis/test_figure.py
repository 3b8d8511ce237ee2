"""The figure says what the numbers say, to every reader."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bnrepro.analysis.caption import describe_figure
from bnrepro.analysis.figure import Options, draw_figure
from bnrepro.analysis.names import norm_names
from bnrepro.analysis.reference import REFERENCES
from bnrepro.analysis.results import load_results
from bnrepro.analysis.series import select_series
from bnrepro.analysis.style import NORM_STYLES, norm_styles

SIZES = (1, 2, 4, 8)
SEEDS = (0, 1, 2)
CANNOT = "Expected more than 1 value per channel when training"


def drawn(path, statistics=("running",), kind="names", reference=None, **options) -> tuple[Figure, str]:
    paths = path if isinstance(path, list) else [path]
    results = load_results(paths)
    names = norm_names([sweep.plan for sweep in results.sweeps], kind)
    series, _ = select_series(results, statistics, names)
    caption = describe_figure(results, series, names)
    figure = draw_figure(
        series,
        axis=results.axis,
        names=names,
        caption=caption,
        options=Options(**options),
        reference=reference,
        chance=results.chance,
    )
    # a line may not end inside "n = 3 seeds"
    return figure, caption.replace("\u00a0", " ")


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def lines_of(figure: Figure, norm: str, alpha: float | None = None) -> list:
    """Those with the norm's colour: without bars, without published points, without single seeds."""
    color = NORM_STYLES[norm].color
    return [
        line
        for line in figure.axes[-1].lines
        if to_hex(line.get_color()).upper() == color
        and line.get_alpha() == alpha
        and line.get_linestyle() != "None"
    ]


def line_of(figure: Figure, norm: str):
    (line,) = lines_of(figure, norm)
    return line


def seeds_of(figure: Figure, norm: str):
    color = NORM_STYLES[norm].color
    (points,) = (
        line
        for line in figure.axes[-1].lines
        if to_hex(line.get_color()).upper() == color and line.get_marker() == "."
    )
    return points


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


@pytest.mark.parametrize(
    ("protocol", "label", "words"),
    [
        ("coupled", "batch size (images per step, one worker)", "(one worker, SGD batch = normalization"),
        ("workers", "images per worker (8 workers)", "(8 workers, SGD batch = 8 × images per worker)"),
        ("fixed_sgd", "normalization batch (SGD batch 256)", "(SGD batch 256)"),
    ],
)
def test_the_axis_says_what_it_is_in_each_protocol(sweep, protocol: str, label: str, words: str) -> None:
    figure, caption = drawn(sweep(batch_sizes=SIZES, protocol=protocol))
    assert figure.axes[-1].get_xlabel() == label
    assert caption.startswith(
        f"ResNet-8 on CIFAR-10 (image folder), 10,240 training images, 6 epochs, protocol {protocol} {words}"
    )


def test_points_are_the_means_and_every_seed_is_a_small_point(sweep) -> None:
    path = sweep(
        norms=("bn",),
        batch_sizes=SIZES,
        error=lambda _, size, seed: {"running": 40 + size + seed},
        seeds=SEEDS,
    )
    figure, _ = drawn(path)
    assert line_of(figure, "bn").get_ydata() == pytest.approx([42, 43, 45, 49])
    points = seeds_of(figure, "bn").get_xydata().tolist()
    assert sorted(points) == sorted([float(size), 40.0 + size + seed] for size in SIZES for seed in SEEDS)


@pytest.mark.parametrize(
    ("seeds", "bars", "words"),
    [
        ((0,), 0, "n = 1 seed: no interval."),
        ((0, 1), 0, "n = 2 seeds: lines are means, dots single seeds; no interval."),
        ((0, 1, 2), 12, "n = 3 seeds: mean and 95 % t-interval of the mean; dots are single seeds."),
    ],
)
def test_intervals_are_drawn_from_three_seeds_on(sweep, seeds, bars: int, words: str) -> None:
    """The t-interval of two values reaches 9 standard deviations to each side."""
    figure, caption = drawn(sweep(batch_sizes=SIZES, seeds=seeds))
    assert words in caption
    assert sum(len(bars.get_segments()) for bars in figure.axes[-1].collections) == bars


def bars_of(figure: Figure) -> list[float]:
    """Where the intervals stand, in points from the left."""
    FigureCanvasAgg(figure).draw()
    return [
        bars.get_transform().transform(bar[0])[0] * 72 / figure.dpi
        for bars in figure.axes[-1].collections
        for bar in bars.get_segments()
    ]


def test_bars_at_one_batch_size_do_not_cover_each_other(sweep) -> None:
    figure, _ = drawn(sweep(batch_sizes=SIZES, seeds=SEEDS))
    places = bars_of(figure)
    assert len({round(place) for place in places}) == len(places) == 12


@pytest.mark.parametrize("statistics", [("running",), ("running", "precise", "batch")])
def test_marks_and_seeds_of_a_sweep_of_one_size_stand_apart(sweep, statistics: tuple[str, ...]) -> None:
    figure, _ = drawn(sweep(norms=("bn", "brn", "mabn"), batch_sizes=(2,), seeds=SEEDS), statistics)
    places = bars_of(figure)
    assert len(places) == 3 * len(statistics)
    assert min(np.diff(sorted(places))) > 15


def test_labels_of_a_sweep_of_one_size_point_at_no_place_where_no_mark_is(sweep) -> None:
    norms = ("bn", "brn", "mabn", "bn_frozen", "ln", "in", "gn")
    figure, _ = drawn(sweep(norms=norms, batch_sizes=(2,), seeds=SEEDS))
    leaders = [text for text in figure.axes[-1].texts if not text.get_text()]
    assert len(leaders) == len(norms)
    assert {text.xycoords[0] for text in leaders} == {"axes fraction"}


def test_bars_that_leave_the_frame_end_in_an_arrow(sweep) -> None:
    path = sweep(
        norms=("bn",),
        batch_sizes=SIZES,
        seeds=SEEDS,
        error=lambda _, size, seed: {"running": 50 + (15 * (seed - 1) if size == 1 else seed / 10)},
    )
    figure, _ = drawn(path)
    bottom, top = figure.axes[-1].get_ylim()
    ends = [
        line.get_xydata().tolist()
        for line in figure.axes[-1].lines
        if isinstance(line.get_marker(), int)  # carets are numbers
    ]
    assert ends == [[[1.0, bottom]], [[1.0, top]]]
    (bars,) = figure.axes[-1].collections
    assert all(bottom <= y <= top for bar in bars.get_segments() for _, y in bar)


def test_diverged_runs_are_counted_above_at_their_x_and_have_no_point_where_all_diverged(sweep) -> None:
    states = {f"bn-b1-s{seed}": "diverged" for seed in SEEDS} | {"bn-b4-s0": "diverged"}
    figure, caption = drawn(sweep(batch_sizes=SIZES, seeds=SEEDS, states=states))
    strip = figure.axes[0]
    assert texts(strip) == ["Batch norm: 1 of 3 diverged", "3 of 3 diverged"]
    assert [line.get_xdata().tolist() for line in strip.lines] == [[4], [1]]
    assert np.isnan(line_of(figure, "bn").get_ydata()).tolist() == [True, False, False, False]
    assert "error of chance (90 %)" in caption


def test_a_cell_that_cannot_train_is_marked_at_its_x_with_the_reason(sweep) -> None:
    states = {f"bn-b1-s{seed}": "failed" for seed in SEEDS}
    figure, caption = drawn(sweep(batch_sizes=SIZES, seeds=SEEDS, states=states, message=CANNOT))
    strip = figure.axes[0]
    assert texts(strip) == ["Batch norm: σ² = 0: cannot train"]
    assert [(line.get_marker(), line.get_xdata().tolist()) for line in strip.lines] == [("x", [1])]
    assert np.isnan(line_of(figure, "bn").get_ydata()).tolist() == [True, False, False, False]
    assert "Failed, without an error: Batch norm at 1 (3 runs)." in caption


def test_a_run_that_failed_for_another_reason_is_not_called_untrainable(sweep) -> None:
    path = sweep(batch_sizes=SIZES, seeds=SEEDS, states={"gn-b4-s1": "failed"}, message="out of memory")
    assert texts(drawn(path)[0].axes[0]) == ["Group norm (8 groups): failed (1 of 3)"]


def test_a_missing_cell_breaks_the_line_and_the_caption_counts(sweep) -> None:
    figure, caption = drawn(sweep(batch_sizes=SIZES, states={"bn-b2-s0": "missing"}))
    assert np.isnan(line_of(figure, "bn").get_ydata()).tolist() == [False, True, False, False]
    assert "Partial: 11 of 12 cells are finished." in caption


@pytest.mark.parametrize(("worst", "visible"), [(93.0, True), (80.0, False)])
def test_chance_is_a_faint_line_where_it_is_in_range(sweep, worst: float, visible: bool) -> None:
    base = {"data": {"name": "cifar10"}}
    path = sweep(batch_sizes=SIZES, error=lambda _, size, __: {"running": worst - size}, base=base)
    axes = drawn(path)[0].axes[-1]
    assert ("chance" in texts(axes)) == visible
    assert any(set(line.get_ydata()) == {90.0} for line in axes.lines) == visible


def test_a_norm_trained_once_is_a_horizontal_line_with_a_band_and_marks_at_ticks(sweep) -> None:
    path = sweep(norms=("bn", "gn"), batch_sizes=SIZES, seeds=SEEDS, protocol="fixed_sgd")
    figure, caption = drawn(path)
    axes = figure.axes[-1]
    assert len(set(line_of(figure, "gn").get_ydata())) == 1
    assert len(axes.patches) == 1
    (marks,) = (line for line in axes.lines if line.get_marker() == NORM_STYLES["gn"].marker)
    assert set(marks.get_xdata()) <= set(SIZES)
    assert "Horizontal: Group norm (8 groups); they see no batch" in caption


def test_each_statistics_has_a_line_for_batch_norms_only(sweep) -> None:
    figure, _ = drawn(sweep(batch_sizes=SIZES), statistics=("running", "precise", "batch"))
    assert labels(figure) == [
        *(f"Batch norm, {name}" for name in ("running", "precise", "batch")),
        *("Group norm (8 groups)", "No norm (SkipInit)"),
    ]
    shapes = {
        (handle.get_linestyle(), handle.get_fillstyle()) for handle in figure.legends[0].legend_handles[:3]
    }
    assert len(shapes) == 3


def test_names_are_the_configs_where_asked(sweep) -> None:
    assert labels(drawn(sweep(batch_sizes=SIZES), kind="config")[0]) == ["bn", "gn", "none"]


def test_published_points_are_faint_and_named(sweep) -> None:
    figure, _ = drawn(sweep(norms=("gn", "bn"), batch_sizes=SIZES), reference=REFERENCES["wu_he_2018"])
    assert labels(figure) == [
        *("Group norm (8 groups)", "Batch norm", "Wu & He 2018,\nResNet-50, ImageNet"),
        *("Group norm (8 groups)", "Batch norm"),
    ]
    (faint,) = lines_of(figure, "bn", alpha=0.5)
    assert sorted(faint.get_ydata()) == [23.6, 23.7, 24.8, 27.3, 34.7]


def test_sweeps_that_differ_in_one_key_have_a_line_style_each_and_the_key_in_the_legend(sweep) -> None:
    paths = [
        sweep(f"lr{rate}", norms=("bn", "gn"), batch_sizes=SIZES, base={"optimizer": {"base_lr": rate}})
        for rate in (0.2, 0.4)
    ]
    figure, caption = drawn(paths)
    assert labels(figure) == [
        *("Batch norm", "Group norm (8 groups)"),
        *("optimizer.base_lr=0.2", "optimizer.base_lr=0.4"),
    ]
    assert [line.get_linestyle() for line in lines_of(figure, "bn")] == ["-", "--"]
    assert "optimizer.base_lr" not in caption  # the legend has it


def test_the_caption_names_what_was_changed_from_the_experiment_and_nothing_else(sweep) -> None:
    overrides = ("experiment=cifar10_quick", "optimizer.base_lr=0.4", "data.root=/home/me", "launcher=slurm")
    _, caption = drawn(sweep(batch_sizes=SIZES, overrides=(*overrides, "norm.groups=4")))
    assert "Changed from experiment cifar10_quick: optimizer.base_lr=0.4, norm.groups=4." in caption
    assert "/home/me" not in caption


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


def test_more_than_six_lines_are_labelled_at_their_ends_and_no_label_covers_another(sweep) -> None:
    norms = tuple(NORM_STYLES)
    path = sweep(norms=norms, batch_sizes=SIZES, states={"bn-b1-s0": "diverged"})
    figure, _ = drawn(path, statistics=("running", "precise", "batch"), reference=REFERENCES["wu_he_2018"])
    assert not figure.legends
    FigureCanvasAgg(figure).draw()
    written = [text for text in figure.axes[-1].texts if text.get_text()]
    boxes = sorted((text.get_window_extent() for text in written), key=lambda box: box.y0)
    assert len(boxes) == len(norms) + 2 * 4
    assert all(upper.y0 > lower.y0 + 0.8 * lower.height for lower, upper in itertools.pairwise(boxes))
    caption = figure._supxlabel.get_window_extent()
    assert boxes[0].y0 > caption.y1
    assert max(box.x1 for box in boxes) < figure.bbox.x1


def test_the_size_is_the_files_and_the_frame_the_one_asked_for(sweep) -> None:
    asked = {"size": (5.0, 3.0), "ylim": (10.0, 60.0), "title": "Mine", "caption": False}
    figure, _ = drawn(sweep(batch_sizes=SIZES), **asked)
    assert tuple(figure.get_size_inches()) == (5.0, 3.0)
    assert figure.axes[-1].get_ylim() == (10.0, 60.0)
    assert figure.axes[-1].get_title(loc="left") == "Mine"
    assert figure._supxlabel is None


def test_a_talk_has_larger_text_and_heavier_lines(sweep) -> None:
    path = sweep(batch_sizes=SIZES)
    paper, talk = (drawn(path, style=style)[0] for style in ("paper", "talk"))
    for figure in (paper, talk):
        FigureCanvasAgg(figure).draw()
    sizes = [figure.axes[-1].get_xticklabels()[0].get_fontsize() for figure in (paper, talk)]
    widths = [line_of(figure, "bn").get_linewidth() for figure in (paper, talk)]
    assert sizes[1] > 1.5 * sizes[0]
    assert widths[1] > 1.5 * widths[0]


def test_many_batch_sizes_keep_their_labels_apart(sweep) -> None:
    axes = drawn(sweep(norms=("bn",), batch_sizes=tuple(range(1, 41))))[0].axes[-1]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8", "16", "32"]
