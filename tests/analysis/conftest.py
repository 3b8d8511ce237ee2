"""Sweep directories as `bnrepro sweep` leaves them, without the training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

CHANCE = 90.0
DEFAULT_OPTIONS: dict[str, dict[str, Any]] = {"gn": {"groups": "auto"}, "none": {"skip_init": True}}
BATCH_NORMS = ("bn", "brn", "mabn", "bn_frozen")


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
    overrides: tuple[str, ...] = ()
    norm_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By norm; part of its config and of the hash."""
    states: dict[str, str] = field(default_factory=dict)
    """By cell: `diverged`, `failed`, `missing`; else completed."""
    error: Callable[[str, int, int], dict[str, float]] = plausible_error
    message: str = "Expected more than 1 value per channel"
    """Of failed runs."""
    metrics: bool = True

    def write(self) -> Path:
        cells = [*self._cells()]
        plan = {
            "schema": 1,
            "experiment": "cifar10_quick",
            "protocol": self.protocol,
            "reference": self.reference,
            "base": {"epochs": self.epochs, "model": {"name": "resnet8"}, "device": "cpu"} | self.base,
            "norms": self.norms,
            "batch_sizes": self.batch_sizes,
            "seeds": self.seeds,
            "norm_options": {norm: self._options(norm) for norm in self.norms},
            "overrides": self.overrides,
            "cells": cells,
        }
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "sweep.json").write_text(json.dumps(plan))
        for cell in cells:
            state = self.states.get(cell["id"], "completed")
            if state != "missing":
                self._write_run(cell, state)
        return self.path

    def _options(self, norm: str) -> dict[str, Any]:
        return DEFAULT_OPTIONS.get(norm, {}) | self.norm_options.get(norm, {})

    def _cells(self) -> Iterable[dict[str, Any]]:
        for norm in self.norms:
            shared = self.protocol == "fixed_sgd" and norm not in BATCH_NORMS
            for size in (256,) if shared else self.batch_sizes:
                sgd = {"coupled": size, "workers": 8 * size, "fixed_sgd": 256}[self.protocol]
                for seed in self.seeds:
                    yield {
                        "id": f"{norm}-b{size}-s{seed}",
                        "norm": norm,
                        "batch_size": size,
                        "seed": seed,
                        "config_hash": f"{norm}.{size}.{seed}.{self._options(norm)}.{sorted(self.base)}",
                        "shared": shared,
                        "steps": 10240 // sgd * self.epochs,
                        "workers": {"coupled": 1, "workers": 8}.get(self.protocol, 256 // size),
                        "sgd_batch_size": sgd,
                        "norm_batch_size": size if norm in BATCH_NORMS else None,
                    }

    def _write_run(self, cell: dict[str, Any], state: str) -> None:
        directory = self.path / "cells" / cell["id"]
        directory.mkdir(parents=True, exist_ok=True)
        options = self._options(cell["norm"])
        config = self.base | {"norm": {"name": cell["norm"], "factory": None, "options": options}}
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        error = self.error(cell["norm"], cell["batch_size"], cell["seed"])
        if self.metrics:
            (directory / "metrics.jsonl").write_text(self._metrics(error["running"], state))
        (directory / "result.json").write_text(json.dumps(self._result(cell, state, error)))

    def _result(self, cell: dict[str, Any], state: str, error: dict[str, float]) -> dict[str, Any]:
        head = {
            "schema": 1,
            "status": state,
            **{key: cell[key] for key in ("norm", "batch_size", "seed", "config_hash")},
            "protocol": self.protocol,
            "model": "resnet8",
            "epochs": self.epochs,
        }
        if state == "failed":
            return head | {
                "error": {},
                "last_errors": {},
                "message": self.message,
            }
        diverged = state == "diverged"
        return head | {
            **{key: cell[key] for key in ("workers", "sgd_batch_size", "norm_batch_size")},
            "data": "CIFAR-10 (image folder)",
            "error": dict.fromkeys(error, CHANCE) if diverged else error,
            "last_errors": {} if diverged else {name: [value] for name, value in error.items()},
            "train_error": None if diverged else 33.25,
            "wall_seconds": 61.5,
            "images_per_second": 812.4,
            "peak_memory_bytes": 314572800,
            "message": "loss was nan at step 7" if diverged else "",
        }

    def _metrics(self, final: float, state: str) -> str:
        last = self.epochs if state == "completed" else self.epochs // 2
        errors = [final + (CHANCE - final) * 0.8 * math.exp(-1.2 * epoch) for epoch in range(1, last + 1)]
        lines = [
            {"epoch": epoch, "step": 10 * epoch, "error": {"running": error}}
            for epoch, error in enumerate(errors, 1)
        ]
        return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Path]:
    """`sweep(name, **what)` writes a synthetic sweep directory and gives its path."""
    return lambda name="sweep", **what: SyntheticSweep(tmp_path / name, **what).write()
