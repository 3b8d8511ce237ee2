"""The deep networks of claim 2: their experiments, and what is read from their first look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnrepro.claims.claim import Tables
from bnrepro.claims.experiment import Experiment
from bnrepro.claims.found import Found
from bnrepro.claims.intervals import Interval, of_mean
from bnrepro.sweep.axis import Number

RATES = (0.003, 0.03, 0.1, 1.0)
SEEDS = 5
DEEPEST = 8
DEPTHS = (2, 4, DEEPEST)
ACTIVATIONS = ("sigmoid", "tanh")
INITS = {"xavier": "Xavier", "unit": "N(0, 1)"}
LOOKS = ("probes=[gradients,inputs]", "probe_steps=[0,300]")
SMALLEST = 1e-38
"""Below it a float32 is 0, whose logarithm would be no number."""


@dataclass(frozen=True)
class Network:
    """One of the networks, with its norm."""

    activation: str
    init: str
    depth: int
    norm: str

    @property
    def search(self) -> str:
        """The experiment in which its rate is chosen, which both norms share."""
        return f"deep_{self.activation}_{self.init}_{self.depth}_rates"

    @property
    def name(self) -> str:
        """The experiment that judges it."""
        return f"deep_{self.activation}_{self.init}_{self.depth}_{self.norm}"

    @property
    def kind(self) -> str:
        """`sigmoid, Xavier`."""
        return f"{self.activation}, {INITS[self.init]}"

    @property
    def options(self) -> tuple[str, ...]:
        return (
            f"model.activation={self.activation}",
            f"model.init={self.init}",
            f"model.depth={self.depth}",
        )

    def with_norm(self, norm: str) -> Network:
        return Network(self.activation, self.init, self.depth, norm)


BARE = tuple(
    Network(activation, init, depth, "none")
    for activation in ACTIVATIONS
    for init in INITS
    for depth in DEPTHS
)
DEEP = tuple(network for network in BARE if network.depth == DEEPEST)
NETWORKS = (*BARE, *(network.with_norm("bn") for network in DEEP))
"""Every bare network, and the deepest with batch norm too."""


@dataclass(frozen=True)
class Measured:
    """What one network did, over seeds."""

    ratio: Interval
    """log10 of the first over the last hidden layer's weight gradient, before training."""
    saturated: Interval
    """Percent of the hidden units' values where the activation is flat, before training."""
    saturated_after: Interval
    """The same after training, of the runs that did not diverge."""
    error: Interval
    """Percent, after training at the network's best rate."""


def rates(tables: Tables) -> Sequence[Experiment]:
    return [
        Experiment(
            network.search,
            "claims/deep",
            ("none", "bn") if network in DEEP else ("none",),
            RATES,
            seeds=0,
            key="optimizer.base_lr",
            overrides=network.options,
            search=True,
        )
        for network in BARE
    ]


def at_best_rates(tables: Tables) -> Sequence[Experiment]:
    return [
        Experiment(
            network.name,
            "claims/deep",
            (network.norm,),
            (best_rate(tables, network),),
            seeds=SEEDS,
            key="optimizer.base_lr",
            overrides=(*network.options, *LOOKS),
        )
        for network in NETWORKS
    ]


def best_rate(tables: Tables, network: Network) -> Number:
    """Of the least mean error on the search's seeds."""
    return tables[network.search].best_value(network.norm)


def measured(tables: Tables) -> dict[Network, Measured]:
    return {network: _measured(tables[network.name], network.norm) for network in NETWORKS}


def looks(found: Found, norm: str) -> list[list[dict[str, Any]]]:
    """The lines of probes.jsonl, from before and after training, of every seed."""
    (rate,) = found.experiment.values
    return [found.probes(norm, rate, seed) for seed in found.seeds()]


def _measured(found: Found, norm: str) -> Measured:
    (rate,) = found.experiment.values
    runs = looks(found, norm)
    after = [saturated(lines[1]) for lines in runs if lines[1:]]
    return Measured(
        ratio=of_mean([gradient_ratio(lines[0]) for lines in runs]),
        saturated=of_mean([saturated(lines[0]) for lines in runs]),
        saturated_after=of_mean(after or [math.nan]),
        error=of_mean(list(found.errors(norm, rate).values())),
    )


def hidden_gradients(line: Mapping[str, Any]) -> list[float]:
    """log10 of the norm of every hidden layer's weight gradient, the first layer first."""
    layers = [each["weight"] for name, each in line["gradients"].items() if name.startswith("hidden.")]
    return [math.log10(max(norm, SMALLEST)) for norm in layers]


def gradient_ratio(line: Mapping[str, Any]) -> float:
    """log10 of the first over the last hidden layer's. Not the classifier's, which is of another shape."""
    logs = hidden_gradients(line)
    return logs[0] - logs[-1]


def saturated(line: Mapping[str, Any]) -> float:
    """Percent of what enters the activations, the mean over the layers; nan where one is not finite."""
    shares = [each["saturated"] for each in line["inputs"]["activations"].values()]
    return math.nan if None in shares else 100 * sum(shares) / len(shares)
