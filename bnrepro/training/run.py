"""One run, from its config to `result.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnrepro.config.errors import StorageError, UsageError
from bnrepro.config.schema import RunConfig
from bnrepro.data import load_data
from bnrepro.rundir.record import Record, finished_result
from bnrepro.training.failure import record_failure
from bnrepro.training.open_run import Run, stop_while_waiting
from bnrepro.training.process.device import prepare_device, reset_peak_memory
from bnrepro.training.process.distributed import World
from bnrepro.training.process.environment import environment
from bnrepro.training.process.interrupt import Interrupted, StopFlag
from bnrepro.training.progress import Report, no_report
from bnrepro.training.session import ALONE, Session


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
    `UsageError` for what the user can repair, `StorageError` where the run directory cannot be written, and
    `Interrupted` once `stop` is set and the checkpoint written. Every process of `world` calls this; the main
    one writes.
    """
    result = finished_result(directory, config)
    if resume and result is not None:
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
        stop = stop or StopFlag()
        with stop_while_waiting(stop):
            return Run.open(session, record, resume=resume, stop=stop, report=report).finish()
    except (UsageError, StorageError, Interrupted):
        raise
    except Exception as error:  # a norm of the user's own may raise anything: the rest of a sweep goes on
        return record_failure(
            record,
            error,
            world.explain(error),
            environment=environment(device),
            overrides=overrides,
            data=data,
        )
