"""Fonts for what DejaVu Sans, which travels with matplotlib, has no signs for: Chinese, Japanese, Korean …"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

BASE = "DejaVu Sans"
FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Source Han Sans SC"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAexGothic", "IPAGothic"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic"),
    *("Noto Sans", "Arial Unicode MS", "Unifont", "FreeSans"),
)
"""In the order in which they are tried, on Linux, macOS and Windows."""
LAST_RESORT = "Last Resort High-Efficiency"
"""Comes with matplotlib, and has a frame with the name of the script for every sign."""


def cover(figure: Figure) -> None:
    """Give each text the fonts that have its signs. Most stay as they are, the same on every machine."""
    for text in figure.findobj(Text):
        if missing := _without(BASE, text.get_text()):
            text.set_fontfamily([BASE, *_covering(missing)])


def _covering(signs: set[int]) -> Iterable[str]:
    """Installed fonts that have the signs together, as far as there are such; the last has what is left."""
    chosen = []
    for family in (name for name in FALLBACKS if name in _installed()):
        if not signs:
            break
        left = signs - _signs(family)
        if left != signs:
            chosen.append(family)
            signs = left
    return [*chosen, LAST_RESORT] if signs and LAST_RESORT in _installed() else chosen


def _without(family: str, text: str) -> set[int]:
    return (
        {ord(sign) for sign in text if not sign.isspace()} - _signs(family) if not text.isascii() else set()
    )


@cache
def _installed() -> frozenset[str]:
    return frozenset(font.name for font in fontManager.ttflist)


@cache
def _signs(family: str) -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=family))).get_charmap())
