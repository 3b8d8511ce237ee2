"""(c) The limit: forward, backward and step on one batch that is there already."""

from __future__ import annotations

from collections.abc import Callable

from bnrepro.bench.ours import prepare
from bnrepro.bench.processes import Speed
from bnrepro.config.schema import RunConfig
from bnrepro.training.process.device import peak_memory_bytes
from bnrepro.training.speed.timing import time_steps

WARM_UP_SECONDS = 0.2


def bare_steps(config: RunConfig, seconds: float, start: Callable[[], object]) -> Speed:
    """The step of (a), recorded where (a) records it, with nothing around it: no data, no sums."""
    session = prepare(config)
    trainer = session.trainer
    size = trainer.sgd_batch_size
    x, y = next(trainer.feed.train_batches(session.table(0), [slice(0, size)]))

    def step() -> None:
        trainer.step(x, y, 0)

    time_steps(step, WARM_UP_SECONDS, session.device)
    start()
    steps, elapsed = time_steps(step, seconds, session.device)
    return Speed(steps * size, elapsed, peak_memory_bytes(session.device))
