"""Student's t distribution, without the sixth of a second that importing a library for it takes."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

MOST_TERMS = 500
"""Of the continued fraction; 1 to 60 are needed from 1 to 10,000 degrees of freedom."""
TINY = 1e-300
EPSILON = 2.0**-52


def two_sided_p(degrees: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The probability of a value at least as far from 0 as `t`, elementwise; NaN for NaN."""
    return np.vectorize(_two_sided_p, otypes=[float])(degrees, t)


def quantile(degrees: np.ndarray, probability: float) -> np.ndarray:
    """What a value is below with `probability` (0.5 to 1), elementwise; `degrees`: 1 or more."""
    return np.vectorize(_quantile, otypes=[float])(degrees, probability)


def _two_sided_p(degrees: float, t: float) -> float:
    """I_x(ν/2, 1/2) at x = ν / (ν + t²)."""
    if math.isnan(degrees + t):
        return math.nan
    square = t * t
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + square), square / (degrees + square))


@lru_cache
def _quantile(degrees: float, probability: float) -> float:
    """By Newton's method, from the normal distribution's: it is below, and the function is concave."""
    if math.isnan(degrees):
        return math.nan
    t = NormalDist().inv_cdf(probability)
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    for _ in range(100):
        density = scale * (1 + t * t / degrees) ** (-(degrees + 1) / 2)
        step = (_two_sided_p(degrees, t) / 2 - (1 - probability)) / density
        t += step
        if abs(step) <= 4 * EPSILON * t:
            break
    return t


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularized incomplete beta function I_x(a, b); `rest`: 1 − x (DLMF 8.17.4 and 8.17.22)."""
    if x == 0 or rest == 0:
        return float(rest == 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log(rest) - beta) / a
    return front / _continued_fraction(a, b, x)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """1 + d₁/(1 + d₂/(1 + …)), by Lentz's (1976) method."""
    value, c, d = 1.0, 1.0, 0.0
    for term in range(1, MOST_TERMS):
        m = term // 2
        if term % 2:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + numerator * d) or TINY)
        c = (1 + numerator / c) or TINY
        value *= c * d
        if abs(c * d - 1) < EPSILON:
            break
    return value
