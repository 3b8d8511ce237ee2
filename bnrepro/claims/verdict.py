"""From intervals to verdicts. A criterion is a bound that stands in the code before the seeds are run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bnrepro.claims.intervals import Interval

SUPPORTED, CONTRADICTED, MIXED, UNDECIDED = "supported", "contradicted", "mixed", "undecided"
VERDICTS = (SUPPORTED, CONTRADICTED, MIXED, UNDECIDED)


@dataclass(frozen=True)
class Part:
    """One sentence of a claim, judged."""

    name: str
    criterion: str
    """In words, with its bounds."""
    verdict: str
    found: str
    """The number behind the verdict, with interval and n."""
    numbers: Mapping[str, object]
    """The same for claims.json: plain numbers, lists and texts."""


def above(
    name: str, interval: Interval, bound: float, unit: str = "", *, contradicted: float | None = None
) -> Part:
    """Supported where the whole interval lies above `bound`.

    Contradicted where it lies below `contradicted` (default: `bound`), else undecided.
    """
    limit = bound if contradicted is None else contradicted
    verdict = _verdict(interval.low > bound, interval.high < limit)
    rule = f"lower limit > {bound:g}{unit}; contradicted if the upper limit < {limit:g}{unit}"
    return judged(name, rule, verdict, interval, unit)


def below(
    name: str, interval: Interval, bound: float, unit: str = "", *, contradicted: float | None = None
) -> Part:
    """Supported where the whole interval lies below `bound`.

    Contradicted where it lies above `contradicted` (default: `bound`), else undecided.
    """
    limit = bound if contradicted is None else contradicted
    verdict = _verdict(interval.high < bound, interval.low > limit)
    rule = f"upper limit < {bound:g}{unit}; contradicted if the lower limit > {limit:g}{unit}"
    return judged(name, rule, verdict, interval, unit)


def within(name: str, interval: Interval, low: float, high: float, unit: str = "") -> Part:
    """Supported where the whole interval lies between the bounds, contradicted where all of it is outside."""
    outside = interval.high < low or interval.low > high
    verdict = _verdict(low < interval.low and interval.high < high, outside)
    rule = f"interval within [{low:g}, {high:g}]{unit}; contradicted if all of it is outside"
    return judged(name, rule, verdict, interval, unit)


def verdict_above(interval: Interval, bound: float) -> str:
    """Does the whole interval lie above or below the bound?"""
    return _verdict(interval.low > bound, interval.high < bound)


def judged(name: str, criterion: str, verdict: str, interval: Interval, unit: str = "") -> Part:
    """A part whose verdict rests on one interval."""
    return Part(name, criterion, verdict, interval.text(unit), interval.numbers())


def holds(name: str, criterion: str, passed: bool, found: str, **numbers: object) -> Part:
    """A part that is true or not, without an interval: a computation, or a condition on every seed."""
    return Part(name, criterion, SUPPORTED if passed else CONTRADICTED, found, numbers)


def together(parts: Iterable[Part]) -> str:
    """The claim's verdict: that of all its parts, `mixed` where they disagree; undecided ones do not count
    unless there are no others.
    """
    verdicts = {part.verdict for part in parts}
    decided = verdicts - {UNDECIDED}
    if len(decided) == 1 and MIXED not in decided:
        return decided.pop()
    return MIXED if decided else UNDECIDED


def _verdict(supported: bool, contradicted: bool) -> str:
    return SUPPORTED if supported else CONTRADICTED if contradicted else UNDECIDED
