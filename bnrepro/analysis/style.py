"""How the figures look, so that they agree with each other: a norm keeps its colour, marker and line."""

from __future__ import annotations

import io
from collections.abc import Sequence
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
    Style("#CC6677", "D", "-."),
    Style("#117733", "v", "--"),
    Style("#AA4499", "P", DASH_DOT_DOT),
    Style("#999933", "X", LONG),
    Style("#332288", "p", ":"),
    Style("#88CCEE", "h", "-"),
)
"""For norms that the package does not know, in turn."""

STATISTICS_LINES = {"running": "-", "precise": "--", "batch": ":"}
STATISTICS_FILLS: dict[str, dict[str, str]] = {
    "running": {},
    "precise": {"markerfacecolor": "white"},
    "batch": {"fillstyle": "left", "markerfacecoloralt": "white"},
}

GRAY = "#555555"
INFORMATION = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""No dates in the files: the same results give the same bytes."""
FORMATS = tuple(INFORMATION)

RC: Any = {
    "font.family": "DejaVu Sans",  # travels with matplotlib: the same figure on every machine
    "font.size": 9,
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
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


def norm_styles(norms: Sequence[str]) -> dict[str, Style]:
    """The style of each norm; the unknown ones take the further styles in turn."""
    unknown = [name for name in norms if name not in NORM_STYLES]
    others = {name: OTHER_STYLES[place % len(OTHER_STYLES)] for place, name in enumerate(unknown)}
    return {name: NORM_STYLES.get(name) or others[name] for name in norms}


def render(figure: Figure, extension: str) -> bytes:
    """The file's content. `extension` is one of `FORMATS`."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(buffer, format=extension, metadata=INFORMATION[extension])
    return buffer.getvalue()
