"""Colours of the charts, on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plotly.colors import sample_colorscale

INK, PAPER, GRID, FAINT = "#1f2328", "#ffffff", "#e6e6e6", "#77797c"
DARK_PAPER = "#14171a"
PAGE = {INK: "#e3e6e8", PAPER: DARK_PAPER, GRID: "#33383d", FAINT: "#92979c"}
"""Each colour of the page's own, and what it is on a dark page."""
LEAST_CONTRAST = 4.5
"""WCAG 2.2 asks for 3 of graphical objects and 4.5 of text; lines here are thin."""
STEPS = {"light": (0.0, 0.86), "dark": (0.25, 1.0)}
"""The parts of the colour map in use: its light end is lost on white, its dark end on black."""


def dark_versions(colors: Iterable[str]) -> dict[str, str]:
    """For `#rrggbb` colours of lines: each mixed with as much white as a dark page asks for."""
    return {color: _lightened(color) for color in colors}


def size_colors(values: Iterable[float]) -> tuple[dict[float, str], dict[str, str]]:
    """A step of a perceptual map for each value, by rank; and what the steps are on a dark page."""
    ordered = sorted(set(values))
    light, dark = (_steps(len(ordered), *STEPS[page]) for page in ("light", "dark"))
    return dict(zip(ordered, light, strict=True)), dict(zip(light, dark, strict=True))


def _steps(count: int, first: float, last: float) -> list[str]:
    places = [first + (last - first) * place / max(1, count - 1) for place in range(count)]
    return [_hex(color) for color in sample_colorscale("Viridis", places, colortype="tuple")] if count else []


def _lightened(color: str) -> str:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    for share in range(0, 101, 5):
        mixed = [value + (1 - value) * share / 100 for value in channels]
        if _contrast(mixed, DARK_PAPER) >= LEAST_CONTRAST:
            return _hex(mixed)
    return "#ffffff"


def _contrast(light: Sequence[float], dark: str) -> float:
    other = [int(dark[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return (_luminance(light) + 0.05) / (_luminance(other) + 0.05)


def _luminance(channels: Sequence[float]) -> float:
    """WCAG 2.2, relative luminance."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(channels: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * value):02x}" for value in channels)
