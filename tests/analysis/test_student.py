"""A user would be told a wrong interval or a wrong p."""

import numpy as np
import pytest
from scipy import special

from bnrepro.analysis.student import quantile, two_sided_p

DEGREES = np.concatenate([np.arange(1.0, 60.0), np.linspace(1.0, 1000.0, 500)])


@pytest.mark.parametrize("probability", [0.9, 0.975, 0.995])
def test_quantiles_are_scipys(probability):
    expected = special.stdtrit(DEGREES, probability)
    np.testing.assert_allclose(quantile(DEGREES, probability), expected, rtol=1e-10)


@pytest.mark.parametrize("t", [0.0, 1e-3, 0.3, -1.0, 2.5, -12.7, 300.0])
def test_p_values_are_scipys(t):
    expected = 2 * special.stdtr(DEGREES, -abs(t))
    np.testing.assert_allclose(
        two_sided_p(DEGREES, np.full(DEGREES.shape, t)), expected, rtol=1e-10, atol=1e-300
    )


def test_where_nothing_is_known_nothing_is_said():
    assert np.isnan(two_sided_p(np.array([np.nan, 2.0]), np.array([1.0, np.nan]))).all()
    assert np.isnan(quantile(np.array([np.nan]), 0.975)).all()
