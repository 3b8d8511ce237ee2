"""What a claim is: a sentence of the source, experiments, a criterion, a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bnrepro.claims.experiment import DIGITS, Experiment
from bnrepro.claims.found import Found
from bnrepro.claims.verdict import Part
from bnrepro.config.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = Mapping[str, Found]
"""The finished experiments by their name."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the source, and how it is tested."""

    id: str
    """`1`, `5.1`: the source's own numbers."""
    title: str
    """A few words, for tables."""
    text: str
    """What is claimed, in our words, with the source's section."""
    published: str
    """What others found, with reference."""
    rounds: tuple[Callable[[Tables], Sequence[Experiment]], ...]
    """Its experiments; a later round may depend on what an earlier one found. Empty: only computed."""
    judge: Callable[[Tables], Sequence[Part]]
    """The parts of the claim with their verdicts."""
    draw: Callable[[Tables], Figure]
    data: tuple[str, ...] = (DIGITS,)
    """What it can be tested on."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """What a reader has to know: pitfalls, and what the criterion does not see."""


CLAIMS = Registry[Claim]("claim")
"""Every claim by its id, in the source's order."""


def register(**parts: Any) -> Claim:
    """Put a claim into `CLAIMS`."""
    claim = Claim(**parts)
    CLAIMS.register(claim.id)(claim)
    return claim
