"""95 % t-intervals of means over seeds. Imports neither torch nor scipy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnrepro.analysis.student import quantile
from bnrepro.analysis.summary import CONFIDENCE


@dataclass(frozen=True)
class Interval:
    """A mean and its interval; without width where every value is the same, without bounds for one value."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return self.text()

    def numbers(self) -> dict[str, float | None]:
        """As JSON has them: None for what is not finite."""
        return {key: value if math.isfinite(value) else None for key, value in vars(self).items()}

    def text(self, unit: str = "") -> str:
        """`2.5 points [1.5, 3.5] (n = 5)`."""
        mean = f"{self.mean:.3g}{unit and ' ' + unit.strip()}"
        return f"{mean}{'' if self.n < 2 else f' [{self.low:.3g}, {self.high:.3g}]'} (n = {self.n})"


def of_mean(values: Sequence[float]) -> Interval:
    """mean ± t(0.975, n − 1) · sd / √n. Raises ValueError for no value."""
    if not len(values):
        raise ValueError("an interval needs at least one value")
    array = np.asarray(values, dtype=float)
    mean, n = float(array.mean()), len(array)
    if n < 2 or not math.isfinite(mean):
        return Interval(mean, -math.inf if n < 2 else math.nan, math.inf if n < 2 else math.nan, n)
    half = float(quantile(np.array(n - 1), (1 + CONFIDENCE) / 2) * array.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def of_difference(of: Mapping[int, float], minus: Mapping[int, float]) -> Interval:
    """The mean of the differences by seed: arms that share splits and weights are paired."""
    return of_mean([of[seed] - minus[seed] for seed in sorted(of.keys() & minus.keys())])


def of_ratio(of: Mapping[int, float], by: Mapping[int, float]) -> Interval:
    """The geometric mean of the ratios by seed, with the interval of their logarithms."""
    seeds = sorted(of.keys() & by.keys())
    logs = of_mean([math.log(of[seed] / by[seed]) for seed in seeds])
    return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.n)
