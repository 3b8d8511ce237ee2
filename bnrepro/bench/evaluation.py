"""What an evaluation costs, beside the forward pass alone."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bnrepro.bench.ours import prepare
from bnrepro.bench.processes import Speed
from bnrepro.config.schema import RunConfig
from bnrepro.training.process.device import peak_memory_bytes
from bnrepro.training.speed.timing import time_steps

WARM_UP_SECONDS = 0.2


def evaluation(config: RunConfig, seconds: float, start: Callable[[], object]) -> Speed:
    """The error under the running statistics, of the whole test set as often as there is time."""
    session = prepare(config)
    evaluator = session.evaluator

    def evaluate() -> None:
        evaluator.errors(("running",), epoch=0)

    evaluate()
    start()
    times, elapsed = time_steps(evaluate, seconds, session.device)
    return Speed(times * len(evaluator.test), elapsed, peak_memory_bytes(session.device))


@torch.inference_mode()
def bare_forward(config: RunConfig, seconds: float, start: Callable[[], object]) -> Speed:
    """Forward passes of one of evaluation's batches that is there already."""
    session = prepare(config)
    evaluator = session.evaluator
    evaluator.model.eval()
    x, _ = next(evaluator.test.test_batches([slice(0, min(evaluator.batch_size, len(evaluator.test)))]))

    def forward() -> None:
        evaluator.forward(x)

    time_steps(forward, WARM_UP_SECONDS, session.device)
    start()
    times, elapsed = time_steps(forward, seconds, session.device)
    return Speed(times * len(x), elapsed, peak_memory_bytes(session.device))
