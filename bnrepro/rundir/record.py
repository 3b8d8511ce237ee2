"""A run directory: what is written there, and how the same command finds its own work again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bnrepro.config.convert import to_dict
from bnrepro.config.errors import UsageError
from bnrepro.config.identity import config_hash, difference
from bnrepro.config.schema import RunConfig
from bnrepro.rundir.files import write_json, write_text

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
    """Raises `UsageError` with the keys that differ, where the directory holds work of another config."""
    path = directory / CONFIG
    if not path.exists() or not any((directory / name).exists() for name in (METRICS, CHECKPOINT, RESULT)):
        return
    if changed := difference(_read_config(path), to_dict(config)):
        raise UsageError(
            f"{directory}: holds a run of another config ({'; '.join(changed)}); choose another --out, "
            "or the old values"
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(_broken(path, " ".join(str(error).split()))) from error
    if not isinstance(stored, dict):
        raise UsageError(_broken(path, "no keys"))
    return stored


def _broken(path: Path, why: str) -> str:
    return (
        f"{path}: cannot be read ({why}), and without it nobody knows which config the run there is of; "
        "choose another --out, or remove that directory"
    )


@dataclass
class Record:
    """An open run directory; without `writes`, what a run's further processes know of it."""

    directory: Path
    config: RunConfig
    writes: bool = True
    metrics: list[Metrics] = field(default_factory=list)

    def open(self, environment: dict[str, Any], overrides: Sequence[str]) -> None:
        """Create the directory, or read what an interrupted run left there."""
        self.metrics = read_metrics(self.directory / METRICS)
        if not self.writes:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / RESULT).unlink(missing_ok=True)  # a failed try; finished ones never get here
        config = yaml.safe_dump(to_dict(self.config), sort_keys=False, allow_unicode=True)
        write_text(self.directory / CONFIG, config)
        write_text(self.directory / OVERRIDES, "".join(f"{line}\n" for line in overrides))
        write_json(self.directory / ENV, environment)

    def forget_checkpoint(self) -> None:
        """Not even a later call is to find it."""
        if self.writes:
            (self.directory / CHECKPOINT).unlink(missing_ok=True)

    def cut_back(self, evaluations: int) -> None:
        """Forget what came after the checkpoint, so that the run writes it again."""
        self.metrics = self.metrics[:evaluations]
        if self.writes:
            write_text(self.directory / METRICS, "".join(map(_line, self.metrics)))
            shutil.rmtree(self.directory / TENSORBOARD, ignore_errors=True)

    def append(self, line: Metrics) -> None:
        """Add one evaluation to `metrics.jsonl`."""
        self.metrics.append(line)
        if self.writes:
            with (self.directory / METRICS).open("a", encoding="utf-8") as file:
                file.write(_line(line))

    def progress(self, step: int, epoch: int, images_per_second: float) -> None:
        """Say how far the run is, for `bnrepro status`."""
        if self.writes:
            line = {"step": step, "epoch": epoch, "images_per_second": images_per_second}
            write_json(self.directory / PROGRESS, line)

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write `result.json`: from now on the run is over."""
        if self.writes:
            (self.directory / PROGRESS).unlink(missing_ok=True)
            write_json(self.directory / RESULT, result)
        return result


def _line(metrics: Metrics) -> str:
    return json.dumps(metrics, allow_nan=False) + "\n"


def read_metrics(path: Path) -> list[Metrics]:
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
