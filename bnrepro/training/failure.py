"""A run that ends without a number: what its `result.json` says, and the traceback beside it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.norms import find_factory, traits_of
from bnrepro.rundir.record import Record
from bnrepro.rundir.result import result_head
from bnrepro.training.batch_sizes import batch_sizes

DEBUG = "BNREPRO_DEBUG"
"""An environment variable: 1 prints the traceback of what failed."""


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
    text = "".join(traceback.format_exception(error))
    record.open(environment, overrides)
    record.traceback(text)
    if os.environ.get(DEBUG) == "1" or not record.writes:
        print(text, file=sys.stderr, end="", flush=True)
    return record.finish(failed_result(record.config, message, data))


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
