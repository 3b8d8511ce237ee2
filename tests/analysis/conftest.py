"""Sweep directories as `bnrepro sweep` leaves them, without the training."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_runs import write_completed

from bnrepro.config.convert import to_dict
from bnrepro.config.identity import flatten
from bnrepro.rundir.files import json_lines, write_json, write_text
from bnrepro.rundir.record import CONFIG, METRICS
from bnrepro.rundir.result import write_result
from bnrepro.sweep.directory import SWEEP
from bnrepro.sweep.plan import Axes, Cell, Plan, plan_sweep, sweep_json
from bnrepro.training.outcome import failed_result

CHANCE = 90.0
IMAGES = 10240
DATA = "CIFAR-10 (image folder)"
BATCH_NORMS = ("bn", "brn", "mabn", "bn_frozen")


@functools.cache
def planned(
    overrides: tuple[str, ...],
    norms: tuple[str, ...],
    sizes: tuple[int, ...],
    seeds: tuple[int, ...],
    config_dir: Path | None,
) -> Plan:
    """Composing takes longer than what is tested with it."""
    experiment = ("experiment=cifar10_quick", "device=cpu", *overrides)
    return plan_sweep(experiment, Axes(norms, sizes, seeds), IMAGES, config_dir)


def plausible_error(norm: str, batch_size: int, seed: int) -> dict[str, float]:
    """What runs look like: batch norms rise at small batches, the others are flat."""
    noise = 0.6 * math.sin(12.9 * seed + 3.1 * math.log2(batch_size) + len(norm))
    if norm not in BATCH_NORMS:
        return {"running": 41.0 + 1.5 * len(norm) + 0.1 * batch_size**0.5 + noise}
    rise = 34.0 / batch_size**1.1 * (1.0 if norm == "bn" else 0.5)
    running = 38.0 + rise + 0.25 * batch_size**0.5 + noise
    return {"running": running, "precise": running - 0.45 * rise, "batch": running - 0.6 * rise}


@dataclass
class SyntheticSweep:
    """What to write; `write` gives the directory."""

    path: Path
    norms: tuple[str, ...] = ("bn", "gn", "none")
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    seeds: tuple[int, ...] = (0,)
    protocol: str = "coupled"
    reference: str | None = None
    epochs: int = 6
    base: dict[str, Any] = field(default_factory=dict)
    """What the config has instead of the experiment's."""
    overrides: tuple[str, ...] = ()
    """What `sweep.json` says that the user gave; nothing else depends on it."""
    norm_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By norm; part of its config and of the hash."""
    states: dict[str, str] = field(default_factory=dict)
    """By cell: `diverged`, `failed`, `missing`; else completed."""
    error: Callable[[str, int, int], dict[str, float]] = plausible_error
    message: str = "Expected more than 1 value per channel"
    """Of failed runs."""
    metrics: bool = True
    config_dir: Path | None = None

    def write(self) -> Path:
        plan = planned(self._composed(), self.norms, self.batch_sizes, self.seeds, self.config_dir)
        self.path.mkdir(parents=True, exist_ok=True)
        sweep = sweep_json(plan) | {"overrides": self.overrides, "reference": self.reference}
        write_json(self.path / SWEEP, sweep)
        for cell in plan.cells:
            state = self.states.get(cell.id, "completed")
            if state != "missing":
                self._write_run(cell, state)
        return self.path

    def _composed(self) -> tuple[str, ...]:
        """The overrides that the config is made of."""
        values = {"protocol": self.protocol, "epochs": self.epochs, **flatten(self.base)}
        values |= {f"norm.{key}": value for own in self.norm_options.values() for key, value in own.items()}
        return tuple(f"{key}={value}" for key, value in values.items())

    def _write_run(self, cell: Cell, state: str) -> None:
        directory = cell.directory(self.path)
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / CONFIG, yaml.safe_dump(to_dict(cell.config), sort_keys=False))
        error = self.error(cell.config.norm.name, cell.config.batch_size, cell.config.seed)
        if self.metrics:
            write_text(directory / METRICS, json_lines([*self._metrics(cell, error["running"], state)]))
        if state == "failed":
            write_result(directory, failed_result(cell.config, self.message))
        elif state == "diverged":
            diverged = {"status": state, "message": "loss was nan at step 7", "last_errors": {}}
            write_completed(directory, cell.config, dict.fromkeys(error, CHANCE), data=DATA, **diverged)
        else:
            write_completed(directory, cell.config, error, data=DATA)

    def _metrics(self, cell: Cell, final: float, state: str) -> Iterable[dict[str, Any]]:
        steps = cell.steps // self.epochs
        for epoch in range(1, (self.epochs if state == "completed" else self.epochs // 2) + 1):
            error = final + (CHANCE - final) * 0.8 * math.exp(-1.2 * epoch)
            yield {"epoch": epoch, "step": epoch * steps, "error": {"running": error}}


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Path]:
    """`sweep(name, **what)` writes a synthetic sweep directory and gives its path."""
    return lambda name="sweep", **what: SyntheticSweep(tmp_path / name, **what).write()


@pytest.fixture(scope="module")
def module_sweep(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`sweep`, for tests that share what is made of it."""
    directory = tmp_path_factory.mktemp("sweeps")
    return lambda name="sweep", **what: SyntheticSweep(directory / name, **what).write()
