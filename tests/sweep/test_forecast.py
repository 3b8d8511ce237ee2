"""A user would wait for the estimate, or plan a night by a wrong one."""

import pytest
from tiny_runs import TINY

from bnrepro.data import load_data
from bnrepro.sweep.forecast import forecast
from bnrepro.sweep.plan import Axes, plan_sweep
from bnrepro.training.session import is_worth
from bnrepro.training.step.cpu_replay import replay_operations
from bnrepro.training.trainer import take_steps


def test_a_dry_run_records_the_step_of_a_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording takes longer than all the timed steps; what it saves is the same at every batch size."""
    recorded = []

    def record(*arguments):
        recorded.append(arguments)
        return replay_operations(*arguments)

    monkeypatch.setattr("bnrepro.training.session.replay_operations", record)
    overrides = [override for override in TINY if not override.startswith(("batch_size", "epochs"))]
    plan = plan_sweep([*overrides, "epochs=40"], Axes(("gn", "none"), (1, 2, 4), (0,)), 128)
    assert all(is_worth(cell.steps, cell.sizes.step_images * 8 * 8) for cell in plan.cells)
    found = forecast(plan, load_data(plan.cells[0].config.data), {}, print)
    assert len(recorded) == 2
    assert set(found) == {cell.id for cell in plan.cells}
    assert all(cost.train_seconds > 0 for cost in found.values())


def test_a_dry_run_looks_at_the_clock_after_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine batch sizes × three norms were timed for ten seconds, most of it on batches of one to four."""
    taken = []

    def take(step, task, x, y, size, number):
        taken.append(len(y) // size)
        return take_steps(step, task, x, y, size, number)

    monkeypatch.setattr("bnrepro.training.trainer.take_steps", take)
    overrides = [override for override in TINY if not override.startswith("batch_size")]
    plan = plan_sweep(overrides, Axes(("gn",), (1,), (0,)), 128)
    found = forecast(plan, load_data(plan.cells[0].config.data), {}, print)
    assert max(taken) <= 32 < plan.cells[0].steps
    assert found[plan.cells[0].id].train_seconds > 0
