"""The strip above the figure: which runs diverged or failed, at their places on the x axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from bnrepro.analysis.placing import fraction
from bnrepro.analysis.series import Series
from bnrepro.analysis.style import Look, Style

ROW = 0.17
"""Inches for each norm."""
TEXT_SIZE = 7.5
CHARACTER = 0.56
"""Mean width of a sign, in units of the font's size."""
ONE_VALUE = "more than 1 value per channel"
"""In the message of a run that cannot train: one value has no variance."""


@dataclass(frozen=True)
class Mark:
    """What happened to the runs of one norm at one x."""

    x: float
    words: str
    short: str
    """Where there is no room for words."""
    failed: bool


@dataclass(frozen=True)
class Row:
    """Marks of one kind of one norm."""

    name: str
    """What the figure calls the norm."""
    norm: str
    variant: str | None
    marks: Sequence[Mark]


def strip_rows(series: Sequence[Series]) -> list[Row]:
    """A row per norm, variant and way to end early. A run ends in training, whatever its statistics."""
    rows: dict[tuple[str, bool], Row] = {}
    for line in series:
        name = ", ".join(filter(None, (line.name, line.variant)))
        marks = _marks(line)
        for failed in (True, False):
            mine = [mark for mark in marks if mark.failed == failed]
            if mine:
                rows.setdefault((name, failed), Row(name, line.norm, line.variant, mine))
    return list(rows.values())


def draw_strip(axes: Axes, rows: Sequence[Row], styles: Mapping[str, Style], look: Look) -> None:
    """Draw into `axes`, whose x limits must be final. Words stand beside their marks, where there is room."""
    axes.set_facecolor("#F3F3F3")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(False)
    axes.tick_params(bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, styles[row.norm], look)


def _marks(line: Series) -> list[Mark]:
    marks = []
    for x, n, diverged, failed in zip(line.x, line.n, line.n_diverged, line.n_failed, strict=True):
        runs = n + failed
        if failed:
            why = "σ² = 0: cannot train" if ONE_VALUE in line.messages.get(x, "") else "failed"
            count = "" if failed == runs else f" ({failed} of {runs})"
            marks.append(Mark(float(x), f"{why}{count}", f"{failed}/{runs}", failed=True))
        if diverged:
            marks.append(Mark(float(x), f"{diverged} of {runs} diverged", f"{diverged}/{runs}", failed=False))
    # a shared cell was trained once: one mark of a kind, not one at each x
    return list({mark.failed: mark for mark in marks}.values()) if line.shared else marks


def _draw_row(axes: Axes, place: int, row: Row, style: Style, look: Look) -> None:
    """Words go to the side of the mark that has room for the most of them; the first ones name the norm."""
    marks = sorted(row.marks, key=lambda mark: fraction(axes, mark.x))
    at = [fraction(axes, mark.x) for mark in marks]
    ends = [0.0, *at, 1.0]
    character = CHARACTER * look.points(TEXT_SIZE) / 72 / _inches(axes)
    free, named = 0.0, False
    for number, (x, mark) in enumerate(zip(at, marks, strict=True)):
        words = mark.words if named else f"{row.name}: {mark.words}"
        room = {"left": x - free, "right": ends[number + 2] - x}
        choices = [(text, side) for text in (words, mark.words, mark.short) for side in ("left", "right")]
        text, side = next(
            (choice for choice in choices if (len(choice[0]) + 3) * character <= room[choice[1]]), choices[-1]
        )
        named = named or text == words
        free = x + character * (2 + (len(text) if side == "right" else 0))
        _draw_mark(axes, mark, place, style, look)
        axes.annotate(
            text,
            (mark.x, place),
            xytext=(look.points(5) * (1 if side == "right" else -1), 0),
            textcoords="offset points",
            ha="left" if side == "right" else "right",
            va="center_baseline",
            fontsize=look.points(TEXT_SIZE),
            annotation_clip=False,
        )


def _draw_mark(axes: Axes, mark: Mark, place: int, style: Style, look: Look) -> None:
    axes.plot(
        mark.x,
        place,
        marker="x" if mark.failed else style.marker,
        color=style.color,
        fillstyle="none",
        linestyle="",
        markeredgewidth=look.points(1.4 if mark.failed else 1.0),
    )


def _inches(axes: Axes) -> float:
    """The width of the axes, about: the layout comes later, and the legend takes its part."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return 0.68 * figure.get_figwidth()
