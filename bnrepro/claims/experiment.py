"""The sweep that a claim needs, and its seeds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from bnrepro.sweep.axis import BATCH_SIZE, Number, number_text
from bnrepro.sweep.plan import Axes

SEARCH_SEEDS = (0, 1, 2, 3, 4)
"""A rate or a gain is chosen on these, by the rule that the claim states."""
DIGITS, CIFAR10 = "digits", "cifar10"
DATA = (DIGITS, CIFAR10)
"""What the claims can be tested on; digits unless asked for otherwise."""
FIRST_JUDGING_SEED = 100
"""The verdict comes from this seed and those after it: never from one that anything was chosen on."""


@dataclass(frozen=True)
class Experiment:
    """A sweep that a claim needs; several claims may need the same."""

    name: str
    """Its folder."""
    base: str
    """The choice of `configs/experiment/`: `claims/rates`."""
    norms: tuple[str, ...]
    values: tuple[Number, ...]
    seeds: int
    """How many, from `FIRST_JUDGING_SEED` on."""
    key: str = BATCH_SIZE
    overrides: tuple[str, ...] = ()
    search: bool = False
    """Also on `SEARCH_SEEDS`, to choose a value on."""
    slow: bool = False
    """Only where it is asked for."""
    data: str = DIGITS

    def on(self, data: str) -> Experiment:
        """The same on other data: its base is the choice beside, `claims/rates_cifar10`."""
        return self if data == self.data else replace(self, base=f"{self.base}_{data}", data=data)

    def all_overrides(self) -> list[str]:
        return [f"experiment={self.base}", *self.overrides]

    def axes(self, first_seed: int) -> Axes:
        judging = tuple(range(first_seed, first_seed + self.seeds))
        return Axes(self.norms, self.values, (*(SEARCH_SEEDS if self.search else ()), *judging), self.key)

    def command(self, directory: Path, first_seed: int) -> str:
        """What trains it by hand."""
        kind = ["batch-size"] if self.key == BATCH_SIZE else ["over", self.key]
        option = "--batch-sizes" if self.key == BATCH_SIZE else "--values"
        axes = self.axes(first_seed)
        words = ["bnrepro", "sweep", *kind, *self.all_overrides(), "--norms", ",".join(self.norms)]
        words += [
            option,
            ",".join(map(number_text, self.values)),
            "--seeds",
            ",".join(map(str, axes.seeds or ())),
        ]
        return shlex.join([*words, "--out", str(directory)])
