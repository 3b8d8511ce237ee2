"""A claim with two rounds of tiny runs: the second trains at the size that the first found."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from tiny_runs import TINY

from bnrepro.claims.claim import CLAIMS, Claim, Tables
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.intervals import of_difference
from bnrepro.claims.verdict import Part, below

SIZES = (16, 32)
OVERRIDES = tuple(override for override in TINY if not override.startswith("batch_size="))


def first(tables: Tables) -> Sequence[Experiment]:
    return [Experiment("first", "digits", ("bn", "gn"), SIZES, seeds=2, overrides=OVERRIDES, search=True)]


def second(tables: Tables) -> Sequence[Experiment]:
    best = tables["first"].best_value("bn")
    longer = (*OVERRIDES, "epochs=2")
    return [
        Experiment("second", "digits", ("bn", "gn"), (best,), seeds=3, overrides=longer),
        Experiment("long", "digits", ("bn",), SIZES, seeds=1, overrides=longer, slow=True),
    ]


def judge(tables: Tables) -> Sequence[Part]:
    found = tables["second"]
    (size,) = found.experiment.values
    return [below("better", of_difference(found.errors("bn", size), found.errors("gn", 64)), 0.0, " points")]


def draw(tables: Tables) -> Figure:
    return Figure(figsize=(2, 2))


CLAIM = Claim(
    id="tiny",
    title="Tiny",
    text="Batch norm is better than group norm.",
    published="Nowhere.",
    rounds=(first, second),
    judge=judge,
    draw=draw,
)


def add() -> None:
    """Make it one of the claims of this process."""
    CLAIMS.register("tiny")(CLAIM)
