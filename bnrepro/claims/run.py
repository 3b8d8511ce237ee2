"""Runs the experiments of claims, judges them and writes what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnrepro.claims.claim import CLAIMS, Claim
from bnrepro.claims.experiment import DIGITS, Experiment
from bnrepro.claims.found import Found
from bnrepro.claims.verdict import Part
from bnrepro.config.errors import UsageError
from bnrepro.sweep.plan import Plan
from bnrepro.sweep.prepare import prepare_sweep

EXPERIMENTS = "experiments"
"""The folder of the sweep directories."""
Launch = Callable[[Plan, Path], bool]
"""Runs what is missing of a plan in a directory; is all of it finished now?"""


@dataclass(frozen=True)
class Judged:
    """A claim with its parts."""

    claim: Claim
    parts: Sequence[Part]


@dataclass(frozen=True)
class Settings:
    """Where and how."""

    directory: Path
    first_seed: int
    overrides: Sequence[str]
    """Of every experiment, beside its own."""
    launch: Launch
    data: str = DIGITS
    slow: bool = False
    """Also the experiments that take long."""


def choose(ids: Sequence[str], data: str = DIGITS) -> list[Claim]:
    """The claims with these ids, for none all that can be tested on the data. Raises `UsageError`."""
    if not ids:
        return [claim for claim in CLAIMS.values() if data in claim.data]
    chosen = [CLAIMS.find(id) for id in dict.fromkeys(ids)]
    if missing := [claim for claim in chosen if data not in claim.data]:
        tested = ", ".join(missing[0].data)
        raise UsageError(f"--data {data}: claim {missing[0].id} is tested on {tested} only")
    return chosen


def run_claims(
    claims: Sequence[Claim], settings: Settings, say: Callable[[str], None]
) -> tuple[list[Judged], dict[str, Found]]:
    """Run what is missing, round by round, and judge every claim whose experiments are finished.

    Also the experiments by name. Those that run elsewhere (Slurm) are judged by a later call.
    """
    found: dict[str, Found] = {}
    waiting = list(claims)
    judged: dict[str, Judged] = {}
    number = 0
    while waiting:
        needed = {claim.id: _experiments(claim, found, number, settings) for claim in waiting}
        asked = {experiment.name: experiment for those in needed.values() for experiment in those}
        finished = {
            name: finish
            for name, experiment in asked.items()
            if name not in found and (finish := _run(experiment, settings, say)) is not None
        }
        found |= finished
        for claim in list(waiting):
            if any(experiment.name not in found for experiment in needed[claim.id]):
                waiting.remove(claim)  # its cells are in Slurm's queue
            elif number + 1 >= len(claim.rounds):
                judged[claim.id] = Judged(claim, claim.judge(found))
                waiting.remove(claim)
        number += 1
    return [judged[claim.id] for claim in claims if claim.id in judged], found


def _experiments(
    claim: Claim, found: dict[str, Found], number: int, settings: Settings
) -> Sequence[Experiment]:
    """The round's, on the data asked for, without those that take long unless they are asked for."""
    if number >= len(claim.rounds):
        return ()
    experiments = claim.rounds[number](found)
    return [one.on(settings.data) for one in experiments if settings.slow or not one.slow]


def _run(experiment: Experiment, settings: Settings, say: Callable[[str], None]) -> Found | None:
    """The experiment once all its cells have a result; None where they are still in a queue."""
    directory = settings.directory / EXPERIMENTS / experiment.name
    overrides = [*experiment.all_overrides(), *settings.overrides]
    plan, _ = prepare_sweep(overrides, experiment.axes(settings.first_seed))
    say(f"{experiment.name}: {len(plan.cells)} runs of {plan.cells[0].steps} steps")
    return Found(experiment, directory, settings.first_seed) if settings.launch(plan, directory) else None
