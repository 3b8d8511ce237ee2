"""Where things go on an axis: ticks, limits, and labels that may not cover each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from bnrepro.analysis.x_axis import XAxis

X_ORDERS = ("large-to-small", "small-to-large")
"""Wu & He's Fig. 1 runs from 32 down to 2."""
MOST_TICKS = 14
LEAST_PAD = {"log2": 0.4, "log10": 0.15, "linear": 0.0}
"""Of the axis's own unit: octaves, decades, the value's."""
PAD = 0.045
"""Of the axis's length, on each side."""


def set_x_axis(axes: Axes, axis: XAxis, values: Sequence[float], order: str) -> None:
    """Scale, limits, ticks and label. `values`: each x with a mark, at least one; `order`: of `X_ORDERS`."""
    values = sorted(set(values))
    if axis.scale != "linear":
        axes.set_xscale("log", base=2 if axis.scale == "log2" else 10)
    low, high = _limits(axis.scale, values)
    axes.set_xlim(*((high, low) if order == X_ORDERS[0] else (low, high)))
    _set_ticks(axes, axis.scale, values)
    axes.minorticks_off()
    axes.set_xlabel(axis.label)


def fraction(axes: Axes, x: float) -> float:
    """Where `x` lies between the left and the right end of the axes."""
    to_axes = axes.transData + axes.transAxes.inverted()
    return float(to_axes.transform((x, axes.get_ylim()[0]))[0])


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions near `wanted` with at least `gap` between each two, in [low, high] where that has room.

    The sum of squared shifts is the smallest possible: positions less `gap` times their rank may not fall,
    which is isotonic regression (pool adjacent violators).
    """
    order = np.argsort(wanted, kind="stable")
    pools: list[list[float]] = []  # [sum, number]
    for rank, value in enumerate(np.asarray(wanted, dtype=float)[order]):
        pools.append([value - rank * gap, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, number = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + number]
    free = np.concatenate([[total / number] * int(number) for total, number in pools] or [[]])
    top = high - (len(free) - 1) * gap
    placed = np.empty(len(free))
    placed[order] = np.clip(free, low, max(low, top)) + np.arange(len(free)) * gap
    return placed


def _limits(scale: str, values: Sequence[float]) -> tuple[float, float]:
    if scale == "linear":
        ends = np.array([values[0], values[-1]], dtype=float)
        pad = PAD * np.ptp(ends) or max(0.5, abs(ends[0]) / 2)
        return ends[0] - pad, ends[1] + pad
    base = 2 if scale == "log2" else 10
    ends = np.log([values[0], values[-1]]) / math.log(base)
    pad = max(PAD * np.ptp(ends), LEAST_PAD[scale])
    return float(base ** (ends[0] - pad)), float(base ** (ends[1] + pad))


def _set_ticks(axes: Axes, scale: str, values: Sequence[float]) -> None:
    if len(values) > MOST_TICKS and scale == "log2":
        powers = range(math.ceil(math.log2(values[0])), math.floor(math.log2(values[-1])) + 1)
        values = [2.0**power for power in powers]
    elif scale == "linear" and len(values) > MOST_TICKS // 2:
        axes.xaxis.set_major_locator(MaxNLocator(8))
        return
    elif len(values) > MOST_TICKS:
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return
    axes.set_xticks(values, labels=[f"{value:g}" for value in values])
