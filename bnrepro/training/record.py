"""A run directory: what is written there, and how the same command finds its own work again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bnrepro.config.convert import to_dict
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import config_hash, difference
from bnrepro.config.schema import RunConfig
from bnrepro.training.files import write_json, write_text

CONFIG, OVERRIDES, ENV = "config.yaml", "overrides.txt", "env.json"
METRICS, RESULT, TENSORBOARD = "metrics.jsonl", "result.json", "tensorboard"
CHECKPOINT, PROGRESS = "checkpoint.pt", "progress.json"
Metrics = dict[str, Any]


def read_result(directory: Path) -> dict[str, Any] | None:
    """`result.json`, or None where the run is not over."""
    try:
        return json.loads((directory / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise UsageError(f"{directory / RESULT}: is no JSON ({error}); remove it to run again") from error


def check_same_config(directory: Path, config: RunConfig) -> None:
    """Raises `UsageError` with the keys that differ, where the directory belongs to another config."""
    path = directory / CONFIG
    if not path.exists():
        return
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    if changed := difference(stored or {}, to_dict(config)):
        raise UsageError(
            f"{directory}: holds a run of another config ({'; '.join(changed)}); choose another --out, "
            "or the old values"
        )


@dataclass
class Record:
    """An open run directory."""

    directory: Path
    config: RunConfig
    metrics: list[Metrics]

    @classmethod
    def open(
        cls, directory: Path, config: RunConfig, environment: dict[str, Any], overrides: Sequence[str]
    ) -> Record:
        """Create or reopen a run directory. Raises `UsageError` if it belongs to another config."""
        check_same_config(directory, config)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / RESULT).unlink(missing_ok=True)  # a failed try; finished ones never get here
        write_text(directory / CONFIG, yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))
        write_text(directory / OVERRIDES, "".join(f"{line}\n" for line in overrides))
        write_json(directory / ENV, environment)
        return cls(directory, config, _read_metrics(directory / METRICS))

    def cut_back(self, evaluations: int) -> None:
        """Forget what came after the checkpoint, so that the run writes it again."""
        self.metrics = self.metrics[:evaluations]
        text = "".join(json.dumps(line) + "\n" for line in self.metrics)
        write_text(self.directory / METRICS, text)
        shutil.rmtree(self.directory / TENSORBOARD, ignore_errors=True)

    def append(self, line: Metrics) -> None:
        """Add one evaluation to `metrics.jsonl`."""
        self.metrics.append(line)
        with (self.directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def progress(self, step: int, epoch: int, images_per_second: float) -> None:
        """Say how far the run is, for `bnrepro status`."""
        line = {"step": step, "epoch": epoch, "images_per_second": images_per_second}
        write_json(self.directory / PROGRESS, line)

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write `result.json`: from now on the run is over."""
        (self.directory / PROGRESS).unlink(missing_ok=True)
        write_json(self.directory / RESULT, result)
        return result


def _read_metrics(path: Path) -> list[Metrics]:
    """The lines that are whole: a kill may have cut the last one."""
    lines: list[Metrics] = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
    return lines


def result_head(config: RunConfig) -> dict[str, Any]:
    """The part of `result.json` that the config alone decides."""
    return {
        "schema": 1,
        "norm": config.norm.name,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "protocol": config.protocol.name,
        "model": config.model.name,
        "epochs": config.epochs,
        "config_hash": config_hash(config),
    }
