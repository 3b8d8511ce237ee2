"""A run directory: what is written there, and how the same command finds its own work again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from bnrepro.config.convert import to_dict
from bnrepro.config.errors import Damaged, UsageError
from bnrepro.config.identity import difference
from bnrepro.config.reference import changed_files, content_hashes
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir import schema
from bnrepro.rundir.boards import clear_board
from bnrepro.rundir.files import (
    append,
    clear_unfinished,
    json_lines,
    make_directory,
    remove,
    write_json,
    write_text,
)
from bnrepro.rundir.reading import MIB, read_json, read_text, read_yaml
from bnrepro.rundir.result import ERROR, RESULT, is_over, read_result, result_head, write_result

CONFIG, OVERRIDES, ENV = "config.yaml", "overrides.txt", "env.json"
METRICS = "metrics.jsonl"
CHECKPOINT, PROGRESS = "checkpoint.pt", "progress.json"
CONFIG_BYTES, METRICS_BYTES, PROGRESS_BYTES = MIB // 4, 256 * MIB, MIB // 16
Metrics = dict[str, Any]

LINE = {
    "epoch": schema.whole(1),
    "step": schema.optional(schema.whole(1)),
    "error": schema.group_of(schema.percent(), STATISTICS),
    "lr": schema.optional(schema.number()),
    "loss": schema.optional(schema.finite()),
    "train_error": schema.optional(schema.percent()),
    "images_per_second": schema.optional(schema.number()),
    "train_seconds": schema.optional(schema.number()),
    "evaluation_seconds": schema.optional(schema.number()),
    "layers": schema.optional(schema.group()),
}
"""Of `metrics.jsonl`: one evaluation."""
PROGRESS_FIELDS = {
    "step": schema.whole(),
    "epoch": schema.whole(1),
    "images_per_second": schema.number(),
}
ENV_FIELDS = {"factory_files": schema.optional(schema.group_of(schema.text()))}


def finished_result(directory: Path, config: RunConfig) -> dict[str, Any] | None:
    """The result of a run that is over, or None where there is something left to do.

    Raises `UsageError` where the directory holds work of another config, and what `read_result` does.
    """
    check_same_config(directory, config)
    result = read_result(directory, result_head(config))
    return result if is_over(result) else None


def check_same_config(directory: Path, config: RunConfig) -> None:
    """Raises `UsageError` with the keys that differ, where the directory holds work of another config.

    Without `config.yaml` only a result says which config it is of, by its hash: `read_result` compares that.
    """
    work = [name for name in (RESULT, CHECKPOINT, METRICS) if _is_work(directory / name)]
    if not work:
        return
    path = directory / CONFIG
    try:
        stored = read_yaml(path, CONFIG_BYTES)
    except FileNotFoundError:
        if RESULT in work:
            return
        raise UsageError(f"{path}: is missing, but {work[0]} is there; {_UNKNOWN}") from None
    except Damaged as error:
        raise Damaged(f"{error}; {_UNKNOWN}") from error
    if not isinstance(stored, dict):
        raise Damaged(f"{path}: has no keys; {_UNKNOWN}")
    if changed := difference(stored, to_dict(config)):
        raise UsageError(
            f"{directory}: holds a run of another config ({'; '.join(changed)}); choose another --out, "
            "or the old values"
        )
    _check_same_files(directory, config)


def _check_same_files(directory: Path, config: RunConfig) -> None:
    """The config names the user's own factories by their files: what is in them belongs to the run too."""
    if not (now := content_hashes(config)):
        return
    try:
        before = schema.check(directory / ENV, read_json(directory / ENV, CONFIG_BYTES), ENV_FIELDS)
    except FileNotFoundError:
        return
    except Damaged as error:
        raise Damaged(f"{error}; {_UNKNOWN}") from error
    if changed := changed_files(before.get("factory_files", {}), now):
        raise UsageError(
            f"{directory}: was trained with another {', '.join(changed)}; choose another --out, or put its "
            "old content back"
        )


_UNKNOWN = (
    "without it nobody knows which config the run there is of; choose another --out, or remove that directory"
)


def _is_work(path: Path) -> bool:
    """Is there something that took time? A run begins with an empty metrics.jsonl."""
    try:
        return path.lstat().st_size > 0 or path.name != METRICS
    except OSError:
        return False


@dataclass
class Record:
    """An open run directory; without `writes`, what a run's further processes know of it."""

    directory: Path
    config: RunConfig
    writes: bool = True
    metrics: list[Metrics] = field(default_factory=list)

    @property
    def metrics_file(self) -> Path:
        return self.directory / METRICS

    def open(self, environment: dict[str, Any], overrides: Sequence[str]) -> None:
        """Create the directory, or make what a failed or interrupted run left there ready to go on."""
        if not self.writes:
            return
        make_directory(self.directory)
        clear_unfinished(self.directory)
        for name in (RESULT, ERROR):  # of a failed try; finished runs never get here
            remove(self.directory / name)
        config = yaml.safe_dump(to_dict(self.config), sort_keys=False, allow_unicode=True)
        write_text(self.directory / CONFIG, config)
        write_text(self.directory / OVERRIDES, "".join(f"{line}\n" for line in overrides))
        write_json(self.directory / ENV, {**environment, "factory_files": content_hashes(self.config)})

    def say(self, line: str) -> None:
        """One line, unless it is empty, for whoever looks at the run; from the process that writes."""
        if self.writes and line:
            print(f"bnrepro: {line}", file=sys.stderr, flush=True)

    def forget_checkpoint(self) -> None:
        """Not even a later call is to find it."""
        if self.writes:
            remove(self.directory / CHECKPOINT)

    def go_back(self, metrics: Sequence[Metrics]) -> None:
        """Set `metrics.jsonl` to the evaluations that belong to the checkpoint; later ones come again."""
        self.metrics = list(metrics)
        if self.writes:
            write_text(self.metrics_file, json_lines(self.metrics))
            clear_board(self.directory)

    def append(self, line: Metrics) -> None:
        """Add one evaluation to `metrics.jsonl`."""
        self.metrics.append(line)
        if self.writes:
            append(self.metrics_file, json_lines([line]).encode())

    def progress(self, step: int, epoch: int, images_per_second: float) -> None:
        """Say how far the run is, for `bnrepro status`."""
        if self.writes:
            line = {"step": step, "epoch": epoch, "images_per_second": images_per_second}
            write_json(self.directory / PROGRESS, line)

    def traceback(self, text: str) -> None:
        """Write `error.txt`: where the run failed."""
        if self.writes:
            write_text(self.directory / ERROR, text)

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write `result.json`: from now on the run is over."""
        if self.writes:
            remove(self.directory / PROGRESS)
            write_result(self.directory, result)
        return result


def parse_metrics(path: Path, text: str) -> list[Metrics]:
    """The evaluations in `text`, the content of `path`. Raises `Damaged`."""
    lines = schema.check_lines(path, text, LINE)
    for number, (before, line) in enumerate(pairwise(lines), 2):
        if line["epoch"] <= before["epoch"]:
            raise Damaged(f"{path}: line {number}: epoch {line['epoch']} does not follow")
    return lines


def read_metrics(path: Path) -> list[Metrics]:
    """The evaluations so far; none where there is no file. Raises `Damaged`."""
    try:
        return parse_metrics(path, read_text(path, METRICS_BYTES))
    except FileNotFoundError:
        return []


def read_progress(directory: Path) -> dict[str, Any] | None:
    """How far the run last said it was; None where it did not, or not in our words."""
    path = directory / PROGRESS
    try:
        return schema.check(path, read_json(path, PROGRESS_BYTES), PROGRESS_FIELDS)
    except (FileNotFoundError, Damaged):
        return None
