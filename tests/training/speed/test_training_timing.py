"""The speed that forecasts and benchmarks go by."""

import torch
from tiny_runs import tiny_config

from bnrepro.data import load_data
from bnrepro.training.session import Session
from bnrepro.training.speed.timing import at_standstill, time_steps, time_training


def test_timed_steps_leave_the_weights_where_they_are_and_count_whole_chunks() -> None:
    config = at_standstill(tiny_config())
    session = Session.prepare(config, load_data(config.data), torch.device("cpu"))
    before = [p.detach().clone() for p in session.trainer.model.parameters()]
    images, seconds = time_training(session, 0.0)
    assert images % 16 == 0
    assert images > 0
    assert seconds > 0
    for old, new in zip(before, session.trainer.model.parameters(), strict=True):
        torch.testing.assert_close(old, new)


def test_timing_goes_on_over_the_end_of_an_epoch() -> None:
    config = at_standstill(tiny_config())
    session = Session.prepare(config, load_data(config.data), torch.device("cpu"))
    images, seconds = time_training(session, 0.3)
    assert images > 128 or seconds > 0.3


def test_a_step_is_called_at_least_once() -> None:
    calls: list[int] = []
    steps, _ = time_steps(lambda: calls.append(1), 0.0, torch.device("cpu"))
    assert steps == len(calls) == 1
