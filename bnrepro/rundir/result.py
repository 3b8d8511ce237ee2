"""`result.json`: what stands in it, in which units, and when a run is over. Everybody who reads or writes one
comes here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnrepro.config.errors import Damaged, with_remedy
from bnrepro.config.identity import config_hash
from bnrepro.config.schema import RunConfig
from bnrepro.config.validate import STATISTICS
from bnrepro.rundir import schema
from bnrepro.rundir.files import write_json
from bnrepro.rundir.reading import MIB, read_json
from bnrepro.rundir.run_error import final_evaluations, run_error

RESULT, ERROR = "result.json", "error.txt"
SCHEMA = 1
MOST_BYTES = 64 * MIB
"""The names of skipped files are the only part that grows."""
OVER = ("completed", "diverged")
STATUSES = (*OVER, "failed")
IDENTITY = ("norm", "batch_size", "seed", "protocol", "model", "epochs")
"""What the config alone decides, and a cell's place in a grid; `config_hash` covers the rest of it."""

FIELDS = {
    "schema": schema.one_of((SCHEMA,)),
    "status": schema.one_of(STATUSES),
    "norm": schema.text(),
    "batch_size": schema.whole(1),  # images per worker
    "seed": schema.whole(),
    "protocol": schema.text(),
    "model": schema.text(),
    "epochs": schema.whole(1),
    "config_hash": schema.text(),
    "message": schema.text(),
    "error": schema.group_of(schema.percent(), STATISTICS),  # top-1, by statistics
    "last_errors": schema.group_of(schema.list_of(schema.percent()), STATISTICS),
    # a failed run may not know them, and older versions wrote fewer
    "train_error": schema.optional(schema.nullable(schema.percent())),
    "data": schema.optional(schema.nullable(schema.text())),
    "train_images": schema.optional(schema.whole(1)),  # of the training set that the run saw
    "test_images": schema.optional(schema.whole(1)),
    "classes": schema.optional(schema.whole(1)),
    "workers": schema.optional(schema.nullable(schema.whole(1))),
    "sgd_batch_size": schema.optional(schema.nullable(schema.whole(1))),  # images
    "norm_batch_size": schema.optional(schema.nullable(schema.whole(1))),  # images; null: sees no batch
    "wall_seconds": schema.optional(schema.nullable(schema.number())),
    "train_seconds": schema.optional(schema.nullable(schema.number())),
    "evaluation_seconds": schema.optional(schema.nullable(schema.number())),
    "images_per_second": schema.optional(schema.nullable(schema.number())),
    "peak_memory_bytes": schema.optional(schema.nullable(schema.whole())),
    "skipped_files": schema.optional(schema.list_of(schema.text())),
}


def result_head(config: RunConfig) -> dict[str, Any]:
    """The part of `result.json` that the config alone decides."""
    return {
        "schema": SCHEMA,
        "norm": config.norm.name,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "protocol": config.protocol.name,
        "model": config.model.name,
        "epochs": config.epochs,
        "config_hash": config_hash(config),
    }


def is_over(result: Mapping[str, Any] | None) -> bool:
    """Is there nothing left to do? A failed run is tried again."""
    return result is not None and result["status"] in OVER


def read_result(directory: Path, expected: Mapping[str, Any]) -> dict[str, Any] | None:
    """`result.json`, or None where the run has not ended.

    `expected`: what is known of the run, as `result_head` or its cell of `sweep.json`. Raises `Damaged` for a
    file that is not a result, and for one of another run or another config.
    """
    path = directory / RESULT
    try:
        result = check_result(path, read_json(path, MOST_BYTES))
    except FileNotFoundError:
        return None
    except Damaged as error:
        raise with_remedy(error, "remove it to run again") from error
    for key in ("config_hash", *IDENTITY):
        if key in expected and result[key] != expected[key]:
            what = "config" if key == "config_hash" else "run"
            raise Damaged(
                f"{path}: is of another {what} ({key} {result[key]}, not {expected[key]}); choose another "
                f"--out, or remove {directory} to run again"
            )
    return result


def check_result(path: Path, value: Any) -> dict[str, Any]:
    """`value`, where it is a result: every field in its range, and the error the median of its evaluations.

    Raises `Damaged`.
    """
    result = schema.check(path, value, FIELDS)
    status, error, last = result["status"], result["error"], result["last_errors"]
    if status == "failed":
        if error:
            raise Damaged(f"{path}: a failed run has no error")
    elif not error:
        raise Damaged(f"{path}: a {status} run has an error")
    if status == "completed":
        _check_completed(path, result, error, last)
    return result


def _check_completed(
    path: Path, result: Mapping[str, Any], error: Mapping[str, float], last: Mapping[str, list[float]]
) -> None:
    for key in ("wall_seconds", "images_per_second"):
        if result.get(key) is None:
            raise Damaged(f"{path}: {key} of a completed run must be a number")
    number = final_evaluations(result["epochs"])
    if any(len(values) != number for values in last.values()):
        raise Damaged(
            f"{path}: last_errors must be {number} for {result['epochs']} epochs, under each statistics"
        )
    medians = run_error(last)
    if set(medians) != set(error) or any(
        not math.isclose(error[name], medians[name], rel_tol=1e-9, abs_tol=1e-9) for name in error
    ):
        raise Damaged(f"{path}: error is not the median of last_errors")


def write_result(directory: Path, result: dict[str, Any]) -> None:
    """From now on the run is over. Raises `Damaged` for what is not a result, and `StorageError`."""
    write_json(directory / RESULT, check_result(directory / RESULT, result))


def failure(directory: Path, message: str) -> str:
    """What ended a failed run, and where the whole traceback is."""
    path = directory / ERROR
    try:
        return f"{message} (traceback: {path})" if path.is_file() else message
    except OSError:  # a directory that may not be looked into
        return message
