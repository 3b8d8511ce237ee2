"""How a run ends: `result.json` of one that completed, diverged or failed, and the traceback of the last."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged, StorageError, UsageError, printable
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import STATISTICS
from bnrepro.norms import find_factory, traits_of
from bnrepro.rundir.files import make_directory
from bnrepro.rundir.record import Metrics, Record
from bnrepro.rundir.result import is_over, read_result, result_head, write_result
from bnrepro.rundir.run_error import last_errors, run_error
from bnrepro.training.batch_sizes import batch_sizes
from bnrepro.training.position import Position
from bnrepro.training.process.device import peak_memory_bytes
from bnrepro.training.session import Session
from bnrepro.training.trainer import Diverged

DEBUG = "BNREPRO_DEBUG"
"""An environment variable: 1 prints the traceback of what failed."""


def ended_result(
    session: Session, position: Position, metrics: Sequence[Metrics], diverged: Diverged | None
) -> dict[str, Any]:
    """`result.json` of a run that has trained to its end, or until it diverged: then its error is chance."""
    config, sizes = session.config, session.sizes
    asks, norm_batch_size = session.traits, session.evaluator.norm_batch_size
    last: dict[str, list[float]] = {}
    if diverged:
        names = STATISTICS if asks.batch_statistics else STATISTICS[:1]
        error = dict.fromkeys(names, session.task.chance(len(session.dataset.classes)))
    else:
        last = last_errors(metrics, config.epochs)
        error = run_error(last)
    steps = position.epoch * session.trainer.steps_per_epoch + position.step
    return {
        **result_head(config),
        "status": "diverged" if diverged else "completed",
        "workers": sizes.workers,
        "sgd_batch_size": sizes.sgd_batch_size,
        "norm_batch_size": norm_batch_size if asks.batch_statistics else None,
        "data": session.dataset.name,
        "train_images": len(session.dataset.train),
        "test_images": len(session.dataset.test),
        "classes": len(session.dataset.classes),
        "skipped_files": list(session.dataset.skipped),
        "error": error,
        "last_errors": last,
        "train_error": metrics[-1]["train_error"] if metrics else None,
        "wall_seconds": position.train_seconds + position.evaluation_seconds,
        "train_seconds": position.train_seconds,
        "evaluation_seconds": position.evaluation_seconds,
        "images_per_second": steps * sizes.sgd_batch_size / max(position.train_seconds, 1e-9),
        "peak_memory_bytes": peak_memory_bytes(session.device),
        "message": str(diverged or ""),
    }


def record_failure(
    record: Record,
    error: Exception,
    message: str,
    *,
    environment: dict[str, Any],
    overrides: Sequence[str],
    data: str | None,
) -> dict[str, Any]:
    """Write `error.txt`, the whole traceback, and `result.json`, which is returned.

    A process that does not write prints its traceback: the others only see that it is gone.
    """
    text = printable("".join(traceback.format_exception(error)), keep="\n")  # it repeats names of files
    record.open(environment, overrides)
    record.traceback(text)
    if os.environ.get(DEBUG) == "1" or not record.writes:
        print(text, file=sys.stderr, end="", flush=True)
    return record.finish(failed_result(record.config, message, data))


def record_lost(config: RunConfig, directory: Path, message: str) -> dict[str, Any]:
    """The result of a run that its process did not end itself: its own if it is over, else a failed one.

    The failed one is written, where the directory allows that.
    """
    lost = failed_result(config, message)
    try:
        result = read_result(directory, lost)
        if result is not None and is_over(result):
            return result
        make_directory(directory)
        write_result(directory, lost)
    except (Damaged, StorageError) as error:
        return failed_result(config, f"{message}; {error}")
    return lost


def failed_result(config: RunConfig, message: str, data: str | None = None) -> dict[str, Any]:
    """`result.json` of a run that ended without a number; `data`: the data set's label, where it is known."""
    return {
        **result_head(config),
        **_sizes(config),
        "status": "failed",
        "data": data,
        "error": {},
        "last_errors": {},
        **dict.fromkeys(("train_error", "wall_seconds", "images_per_second", "peak_memory_bytes")),
        "message": message,
    }


def _sizes(config: RunConfig) -> dict[str, int | None]:
    """The sizes that the config decides; None where it asks for what cannot be."""
    try:
        asks = traits_of(find_factory(config.norm.name, config.norm.factory))
        sizes = batch_sizes(config.protocol, config.batch_size, asks.all_workers)
    except UsageError:
        return dict.fromkeys(("workers", "sgd_batch_size", "norm_batch_size"))
    return {**asdict(sizes), "norm_batch_size": sizes.norm_batch_size if asks.batch_statistics else None}
