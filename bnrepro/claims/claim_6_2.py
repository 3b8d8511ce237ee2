"""Claim 6.2: batch normalization does badly in recurrent networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bnrepro.claims import recurrent
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.intervals import Interval, of_difference
from bnrepro.claims.recurrent import HIDDEN, SLOW, Errors
from bnrepro.claims.recurrent_figure import draw
from bnrepro.claims.verdict import (
    CONTRADICTED,
    MIXED,
    SUPPORTED,
    UNDECIDED,
    Part,
    above,
    holds,
    verdict_above,
)

JUDGED = (8, 16)
"""Time steps at which per-step statistics are judged."""
WORSE, SHARED, BLANK = 1.0, 2.0, 5.0  # points


def bad_per_step(bn: Mapping[int, Errors], none: Mapping[int, Errors], running: Mapping[int, Errors]) -> Part:
    """Each: time steps -> seed -> error; `running` is `bn` under running averages."""
    worse = {steps: of_difference(bn[steps], none[steps]) for steps in bn}
    beside = {steps: of_difference(running[steps], none[steps]) for steps in bn}
    reported = [steps for steps in worse if steps not in JUDGED]

    def both(lengths: Sequence[int]) -> str:
        return f"{_by_steps(worse, lengths)}; with running averages {_by_steps(beside, lengths)}"

    verdicts = {verdict_above(worse[steps], WORSE) for steps in JUDGED}
    if len(verdicts) == 1:
        verdict = verdicts.pop()
    else:
        verdict = MIXED if verdicts == {SUPPORTED, CONTRADICTED} else UNDECIDED
    return Part(
        "bad per step",
        f"BN with precise statistics of every step − LSTM without a norm: lower limit > {WORSE:g} point at "
        f"T = 8 and 16; contradicted if the upper limit < {WORSE:g} at both; T = {SLOW} is only reported",
        verdict,
        f"{both(JUDGED)}; only reported: {both(reported)}" if reported else both(JUDGED),
        {"precise": _numbers(worse), "running": _numbers(beside)},
    )


def memory(counted: Mapping[int, int], shared: int, weights: int) -> Part:
    """`counted`: time steps -> floats of the statistics of every step."""
    formula = {steps: 2 * 9 * HIDDEN * steps for steps in counted}
    numbers = ", ".join(f"{count:,} at T = {steps}" for steps, count in counted.items())
    return holds(
        "memory: every step needs statistics of its own",
        f"floats of the statistics, counted: 2 · 9 H T, H = {HIDDEN} units",
        counted == formula,
        f"{numbers}; shared {shared:,}; trained weights {weights:,} (T = {JUDGED[-1]})",
        floats={str(steps): count for steps, count in counted.items()},
        shared=shared,
        weights=weights,
    )


def judge(tables: Tables) -> Sequence[Part]:
    lengths = recurrent.lengths(tables)

    def by_steps(way: str) -> dict[int, Errors]:
        return {steps: recurrent.errors(tables, steps, way) for steps in lengths}

    precise, pooled = by_steps("per step, precise"), by_steps("pooled")
    counted = {steps: recurrent.statistics_floats(tables, steps, "bn") for steps in lengths}
    shared, _ = recurrent.statistics_floats(tables, JUDGED[-1], "shared")
    parts = [
        bad_per_step(precise, by_steps("no norm"), by_steps("per step, running")),
        above(
            "bad when shared: pooled − per step, T = 16",
            of_difference(pooled[16], precise[16]),
            SHARED,
            " points",
        ),
        memory({steps: floats for steps, (floats, _) in counted.items()}, shared, counted[JUDGED[-1]][1]),
    ]
    return [*parts, *(length(tables, steps) for steps in (16, SLOW) if steps in lengths)]


def length(tables: Tables, steps: int) -> Part:
    """What one blank step in front costs, beyond what it costs without a norm."""
    cost = of_difference(
        one_blank_step(tables, steps, "per step, precise"), one_blank_step(tables, steps, "no norm")
    )
    added = "" if steps == SLOW else ", added after the first run"
    return above(f"length: one blank step in front of {steps}, BN − LSTM{added}", cost, BLANK, " points")


def one_blank_step(tables: Tables, steps: int, way: str) -> dict[int, float]:
    """Seed -> by how many points the error rises with one blank step in front."""
    costs = recurrent.blank_step_costs(tables, steps, way)
    return {seed: by_blanks[recurrent.BLANK_STEPS.index(1)] for seed, by_blanks in costs.items()}


def _by_steps(intervals: Mapping[int, Interval], lengths: Sequence[int]) -> str:
    return ", ".join(f"T = {steps}: {intervals[steps].text('points')}" for steps in lengths)


def _numbers(intervals: Mapping[int, Interval]) -> dict[str, object]:
    return {str(steps): vars(interval) for steps, interval in intervals.items()}


CLAIM = register(
    id="6.2",
    title="Bad in recurrent networks",
    text=(
        "Batch normalization does badly in recurrent networks: every time step needs statistics of its own, "
        "which takes more memory (source, section 6.2). An LSTM of 32 units reads digits in 8 or 16 pieces "
        "(64 with --slow): 1,000 training images, 500 steps of Adam with 50 images and clipped gradients, "
        "each arm at the rate with the least error on other seeds. Batch norm is where Cooijmans et al. put "
        "it. The same weights are evaluated with statistics of every step (precise and running averages), "
        "with those of all steps pooled, and with the batch's own; and after blank steps in front."
    ),
    published=(
        "Cooijmans et al. 2017: with statistics of every step and small initial weights, batch norm trains "
        "LSTMs faster and better. Laurent et al. 2016 normalize the input alone. Ba et al. 2016: layer norm, "
        "which needs no statistics."
    ),
    rounds=(recurrent.rates, recurrent.judging),
    judge=judge,
    draw=draw,
    notes=(
        "Training normalizes each step with its batch, whichever statistics are kept: batch norm with "
        "statistics per step and with shared ones has the same weights, bit for bit, and the difference is "
        "made at evaluation.",
        "The rate 0.135 was added to the search of 8 and 16 steps after the first run, in which the LSTM "
        "without a norm was best at the largest. Layer norm, which is drawn beside, is best at the smallest. "
        "At 64 steps every arm is best at the largest, 0.045: its optimum may be higher.",
        "At T = 16 a step reads half a row: after one blank step the left halves meet the statistics of the "
        "right ones.",
        "Precise statistics are the main arm: in long sequences running averages may cost more, even per "
        "step. Blank steps come in front; behind the image they break every arm and test nothing.",
    ),
)
