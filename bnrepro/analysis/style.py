"""How the figures look, so that they agree with each other: a norm keeps its colour, marker and line."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

DENSE = (0, (1, 1))
DASH_DOT_DOT = (0, (5, 1.5, 1, 1.5, 1, 1.5))
LONG = (0, (8, 2))


@dataclass(frozen=True)
class Style:
    color: str
    marker: Any
    line: Any


# Colours of Okabe & Ito 2008 and of Paul Tol's "muted" set: told apart by colour-blind readers. Marker and
# line differ too, which is what remains in grayscale.
NORM_STYLES = {
    "bn": Style("#0072B2", "o", "-"),
    "gn": Style("#D55E00", "s", "--"),
    "none": Style("#1A1A1A", "^", ":"),
    "bn_derived": Style("#56B4E9", "8", DENSE),
    "bn_frozen": Style("#332288", "d", "-."),
    "bn_noisy": Style("#A6761D", (6, 1, 0), "--"),
    "bn_sync": Style("#AA4499", "h", LONG),
    "brn": Style("#009E73", "P", "--"),
    "mabn": Style("#E69F00", "X", "-"),
    "ln": Style("#44AA99", "D", "-."),
    "in": Style("#CC79A7", "v", DASH_DOT_DOT),
    "gn_ws": Style("#882255", "p", "-."),
    "frn": Style("#117733", "<", LONG),
    "evonorm_s0": Style("#999933", ">", DASH_DOT_DOT),
    "evonorm_b0": Style("#661100", "*", "-"),
    "fixup": Style("#CC6677", (4, 1, 0), "--"),
    "nf": Style("#6699CC", "H", ":"),
}
OTHER_STYLES = (
    Style("#B15928", "D", "-."),
    Style("#F0027F", "v", "--"),
    Style("#6A3D9A", "P", DASH_DOT_DOT),
    Style("#7F9A00", "X", LONG),
    Style("#00868B", "p", ":"),
    Style("#DDAA33", "h", "-"),
)
"""For norms that the package does not know, in turn."""

VARIANT_LINES = ("-", "--", ":", "-.", DASH_DOT_DOT, LONG, DENSE)
"""Of the sweeps in one figure, in turn."""
STATISTICS_LINES = {"running": "-", "precise": "--", "batch": ":"}
STATISTICS_FILLS: dict[str, dict[str, str]] = {
    "running": {},
    "precise": {"markerfacecolor": "white"},
    "batch": {"fillstyle": "left", "markerfacecoloralt": "white"},
}

GRAY = "#555555"
FAINT = "#8A8A8A"
INFORMATION = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""No dates in the files: the same results give the same bytes."""
FORMATS = tuple(INFORMATION)

ELSEWHERE = (b"font-family: 'DejaVu Sans'", b"font-family: 'DejaVu Sans', Verdana, sans-serif")
"""Text in an SVG is drawn with the viewer's fonts: Verdana has the same widths."""

RC: Any = {
    "font.family": ["DejaVu Sans"],  # travels with matplotlib: the same figure on every machine
    "font.size": 9,
    "text.parse_math": False,  # a folder's name may have a $
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": "black",
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "svg.hashsalt": "bnrepro",
    "svg.fonttype": "none",  # text stays text: it can be searched and edited
    "pdf.fonttype": 42,  # TrueType, embedded: what journals ask for
}
SCALED = ("font.size", "legend.fontsize", "lines.linewidth", "lines.markersize", "grid.linewidth")
KEPT = ("backend", "backend_fallback", "interactive", "toolbar", "timezone")
"""Settings of the process, which say nothing of how a figure looks."""


@dataclass(frozen=True)
class Look:
    """How large and how heavy a figure is drawn."""

    scale: float
    """Of text, lines and marks."""
    width: float
    """Inches."""
    height: float
    """Inches, without the strip of failures and what a long caption needs."""

    def points(self, value: float) -> float:
        return self.scale * value


LOOKS = {"paper": Look(1.0, 7.4, 4.6), "talk": Look(1.6, 11.0, 6.2)}
"""By the name that `--style` takes."""


@contextmanager
def drawing(look: Look = LOOKS["paper"]) -> Iterator[None]:
    """Matplotlib's own defaults, and ours over them: what a user's matplotlibrc says does not count."""
    defaults = {key: value for key, value in dict.items(matplotlib.rcParamsDefault) if key not in KEPT}
    scaled = {key: RC[key] * look.scale for key in SCALED}
    with matplotlib.rc_context(defaults | RC | scaled):
        yield


def norm_styles(norms: Sequence[str]) -> dict[str, Style]:
    """The style of each norm; the unknown ones take the further styles in turn."""
    unknown = [name for name in norms if name not in NORM_STYLES]
    others = {name: OTHER_STYLES[place % len(OTHER_STYLES)] for place, name in enumerate(unknown)}
    return {name: NORM_STYLES.get(name) or others[name] for name in norms}


def render(figure: Figure, extension: str, dpi: float = 200) -> bytes:
    """The file's content. `extension` is one of `FORMATS`; `dpi` counts for png."""
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format=extension, dpi=dpi, metadata=INFORMATION[extension])
    content = buffer.getvalue()
    return content.replace(*ELSEWHERE) if extension == "svg" else content
