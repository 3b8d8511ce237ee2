"""One run, from its config to `result.json`."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bnrepro.config.errors import UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.data import load_data
from bnrepro.norms import find_factory, traits_of
from bnrepro.rundir.record import Record, check_same_config, read_result, result_head
from bnrepro.training.batch_sizes import batch_sizes
from bnrepro.training.open_run import Run
from bnrepro.training.process.device import prepare_device, reset_peak_memory
from bnrepro.training.process.distributed import World
from bnrepro.training.process.environment import environment
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.progress import Report, no_report
from bnrepro.training.session import ALONE, Session

OVER = ("completed", "diverged")


def run(
    config: RunConfig,
    directory: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = True,
    stop: StopFlag | None = None,
    report: Report = no_report,
    world: World = ALONE,
) -> dict[str, Any]:
    """Train and evaluate one cell in `directory`, and return its `result.json`.

    A finished directory is returned as it is; an interrupted one is continued from its checkpoint
    (`resume=False`: started again). A run that diverges or fails returns a result that says so. Raises
    `UsageError` for what the user can mend, and `Interrupted` once `stop` is set and the checkpoint written.
    Every process of `world` calls this; the main one writes.
    """
    check_same_config(directory, config)
    result = read_result(directory)
    if resume and result is not None and result["status"] in OVER:
        return result
    device = prepare_device(config)
    record = Record(directory, config, writes=world.is_main)
    data = None
    try:
        reset_peak_memory(device)
        dataset = load_data(config.data)
        data = dataset.name
        session = Session.prepare(config, dataset, device, world)
        record.open(environment(device), overrides)  # not before: what is refused leaves nothing there
        return Run.open(session, record, resume=resume, stop=stop or StopFlag(), report=report).finish()
    except (UsageError, Interrupted):
        raise
    except Exception as error:  # a norm of the user's own may raise anything: the rest of a sweep goes on
        if not isinstance(error, ValueError | RuntimeError | OSError):
            traceback.print_exc()
        record.open(environment(device), overrides)
        return record.finish(failed_result(config, world.explain(error), data))


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
