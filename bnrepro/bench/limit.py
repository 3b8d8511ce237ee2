"""(c) The limit: forward, backward and step on one batch that is there already."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch.nn.functional as F

from bnrepro.bench.ours import prepare
from bnrepro.bench.processes import Speed
from bnrepro.config.schema import RunConfig
from bnrepro.training.device import peak_memory_bytes
from bnrepro.training.timing import wait_for

WARM_UP_STEPS = 5


def bare_steps(config: RunConfig, seconds: float, start: Callable[[], object]) -> Speed:
    """The same model and optimizer as in (a), with nothing around them: no data, no schedule, no sums."""
    session = prepare(config)
    trainer = session.trainer
    size = trainer.sgd_batch_size
    x, y = next(trainer.feed.train_batches(session.table(0), [slice(0, size)]))

    def step() -> None:
        F.cross_entropy(trainer.forward(x), y).backward()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    for _ in range(WARM_UP_STEPS):
        step()
    wait_for(session.device)
    start()
    steps = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        step()
        steps += 1
    wait_for(session.device)
    elapsed = time.perf_counter() - begin
    return Speed(steps * size, elapsed, peak_memory_bytes(session.device))
