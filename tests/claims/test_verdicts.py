"""A claim would be called supported, or refuted, without the numbers for it."""

import math

import pytest
from scipy import stats

from bnrepro.analysis.report.claims import headline
from bnrepro.claims.intervals import Interval, of_difference, of_mean, of_ratio
from bnrepro.claims.verdict import (
    CONTRADICTED,
    MIXED,
    SUPPORTED,
    UNDECIDED,
    Part,
    above,
    below,
    holds,
    together,
)

VALUES = [3.0, 4.5, 2.5, 6.0, 4.0]


def test_an_interval_of_a_mean_is_scipys():
    found = of_mean(VALUES)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, loc=found.mean, scale=stats.sem(VALUES))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == 5


def test_differences_are_paired_by_seed():
    arm = {0: 10.0, 1: 20.0, 2: 30.0}
    other = {0: 9.0, 1: 18.5, 2: 29.5, 7: 1000.0}
    found = of_difference(arm, other)
    result = stats.ttest_rel([10, 20, 30], [9, 18.5, 29.5]).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(result.low), pytest.approx(result.high))
    assert found.n == 3


def test_a_ratio_has_the_interval_of_its_logarithm():
    found = of_ratio({0: 8.0, 1: 2.0}, {0: 2.0, 1: 2.0})
    assert found.mean == pytest.approx(2.0)
    assert math.log(found.high / found.mean) == pytest.approx(math.log(found.mean / found.low))


def test_one_value_has_no_interval():
    assert of_mean([2.0]) == Interval(2.0, -math.inf, math.inf, 1)
    with pytest.raises(ValueError, match="at least one"):
        of_mean([])


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 5)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(2.1, 5.0, SUPPORTED), (0.0, 1.9, CONTRADICTED), (1.0, 3.0, UNDECIDED)]
)
def test_a_bound_from_below(low, high, verdict):
    assert above("more", interval(low, high), 2.0).verdict == verdict
    assert below("less", interval(-high, -low), -2.0).verdict == verdict


def test_a_contradiction_may_need_more_than_a_miss():
    assert below("less", interval(0.9, 1.2), 0.8, contradicted=1.25).verdict == UNDECIDED
    assert below("less", interval(1.3, 1.4), 0.8, contradicted=1.25).verdict == CONTRADICTED


def test_the_criterion_and_the_number_stand_in_the_part():
    part = above("more", interval(2.1, 5.0), 2.0, " points")
    assert "lower limit > 2 points" in part.criterion
    assert "n = 5" in part.found
    assert part.numbers == {"mean": 3.55, "low": 2.1, "high": 5.0, "n": 5}


def part(verdict: str) -> Part:
    return Part("", "", verdict, "", {})


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ((SUPPORTED, SUPPORTED), SUPPORTED),
        ((SUPPORTED, UNDECIDED), SUPPORTED),
        ((CONTRADICTED,), CONTRADICTED),
        ((SUPPORTED, CONTRADICTED), MIXED),
        ((UNDECIDED, UNDECIDED), UNDECIDED),
        ((SUPPORTED, MIXED), MIXED),
    ],
)
def test_the_verdict_of_a_claim_is_that_of_its_parts(parts, verdict):
    assert together(map(part, parts)) == verdict


def test_a_computed_part_is_true_or_not():
    assert holds("equal", "< 1", True, "0.5").verdict == SUPPORTED
    assert holds("equal", "< 1", False, "2").verdict == CONTRADICTED


def test_the_headline_is_of_a_part_with_the_verdict_of_the_claim():
    """Undecided parts do not count in a verdict, and the first of all was shown beside it."""
    parts = [
        {"name": "faster", "verdict": "undecided", "found": "1 × [1, 1]"},
        {"name": "trains where no norm fails", "verdict": "supported", "found": "rates: 1, 2"},
    ]
    assert headline({"verdict": "supported", "parts": parts}) == "trains where no norm fails: rates: 1, 2"
    assert headline({"verdict": "undecided", "parts": parts[:1]}) == "faster: 1 × [1, 1]"
