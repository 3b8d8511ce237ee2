"""How the runs of a report were made: environments, commands, configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bnrepro.analysis.report.cells import Cell
from bnrepro.analysis.results import Results

COMMAND = "command"
AXES = ("norms", "batch_sizes", "axis", "seeds", "norm_options")
"""Of sweep.json: what is not in its base config."""


@dataclass(frozen=True)
class Environment:
    """Where runs were trained, and how many of them."""

    runs: int
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class Provenance:
    """Where everything on the page comes from."""

    environments: list[Environment]
    commands: list[str]
    """As they were typed."""
    configs: list[str]
    """YAML, one for each sweep."""
    damaged: list[str]

    @property
    def devices(self) -> list[str]:
        """Each one's name once."""
        facts = [fact for environment in self.environments for fact in environment.facts]
        return list(dict.fromkeys(value for key, value in facts if key == "device"))


def find_provenance(results: Results, cells: Sequence[Cell]) -> Provenance:
    """Of all finished runs; equal environments count once."""
    environments: dict[tuple[tuple[str, str], ...], int] = {}
    commands: dict[str, None] = {}
    damaged: list[str] = []
    for cell in cells:
        if cell.damage:
            damaged.append(cell.damage)
        if not (environment := cell.environment):
            continue
        if command := environment.get(COMMAND):
            commands[command] = None
        facts = tuple(environment_facts(environment))
        environments[facts] = environments.get(facts, 0) + 1
    return Provenance(
        [Environment(count, list(facts)) for facts, count in environments.items()],
        list(commands),
        [_config(sweep.plan) for sweep in results.sweeps],
        damaged,
    )


def environment_facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`commit`, `torch` … and their values, as text; what is empty is left out."""
    facts = []
    for key, value in environment.items():
        if key in (COMMAND, "dirty") or value is None or value == {}:
            continue
        if isinstance(value, Mapping):
            facts += [(str(name), str(inner)) for name, inner in value.items() if inner is not None]
            continue
        changed = " (with changes that are not committed)" if environment.get("dirty") else ""
        facts.append((key, f"{value}{changed if key == 'commit' else ''}"))
    return facts


def _config(plan: Mapping[str, Any]) -> str:
    chosen = {key: plan[key] for key in AXES if key in plan}
    return yaml.safe_dump({**plan["base"], **chosen}, sort_keys=False, allow_unicode=True)
