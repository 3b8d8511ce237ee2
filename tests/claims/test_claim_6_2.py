"""Batch norm would be said to do badly in recurrent networks where the numbers say something else."""

from types import SimpleNamespace

import pytest
import torch
from tiny_runs import tiny_run

from bnrepro.claims import CLAIMS, recurrent
from bnrepro.claims.claim_6_2 import bad_per_step, memory
from bnrepro.claims.trained import errors_after_blank_steps, trained
from bnrepro.claims.verdict import CONTRADICTED, MIXED, SUPPORTED, UNDECIDED

SEEDS = range(100, 105)
WOBBLE = (0.1, -0.1, 0.05, -0.05, 0.0)


def errors(mean: float, wide: float = 1.0) -> dict[int, float]:
    return {seed: mean + wide * own for seed, own in zip(SEEDS, WOBBLE, strict=True)}


@pytest.mark.parametrize(
    ("at_8", "at_16", "verdict"),
    [
        (errors(6.0), errors(7.0), SUPPORTED),
        (errors(2.0), errors(4.5), CONTRADICTED),
        (errors(2.0), errors(7.0), MIXED),
        (errors(2.0), errors(5.0), UNDECIDED),
        (errors(6.0), errors(5.0, 10.0), UNDECIDED),
    ],
)
def test_per_step_is_judged_at_both_lengths(at_8, at_16, verdict):
    none = {8: dict.fromkeys(SEEDS, 4.0), 16: dict.fromkeys(SEEDS, 4.0)}
    part = bad_per_step({8: at_8, 16: at_16}, none, {8: errors(90.0), 16: errors(90.0)})
    assert part.verdict == verdict
    assert set(part.numbers["precise"]) == {"8", "16"}


def test_longer_sequences_are_reported_beside():
    none = {steps: dict.fromkeys(SEEDS, 4.0) for steps in (8, 16, 64)}
    bn = {8: errors(2.0), 16: errors(2.0), 64: errors(40.0)}
    part = bad_per_step(bn, none, bn)
    assert part.verdict == CONTRADICTED
    assert "T = 64: 36 points" in part.found


def test_memory_is_two_numbers_for_nine_h_units_at_every_step():
    assert memory({8: 4608, 16: 9216}, 576, 5000).verdict == SUPPORTED
    assert memory({8: 4608, 16: 4608}, 576, 5000).verdict == CONTRADICTED


def found(by_statistics: dict[str, float]) -> SimpleNamespace:
    return SimpleNamespace(
        experiment=SimpleNamespace(values=(0.015,)),
        errors=lambda norm, x, statistics: errors(by_statistics[statistics]),
    )


def made_up(steps: int, pooled: float) -> dict[str, SimpleNamespace]:
    return {
        f"lstm_{steps}_bn": found({"precise": 2.0, "running": 2.5}),
        f"lstm_{steps}_none": found({"running": 3.0}),
        f"lstm_{steps}_shared": found({"precise": pooled}),
    }


def blank(monkeypatch, bn: tuple[float, ...]) -> None:
    """A blank step costs the bare network 10 points, batch norm `bn[1]`."""

    def costs(tables, steps, way):
        cost, wide = (bn, 5.0) if way == "per step, precise" else ((0, 10, 10, 10), 1.0)
        return {seed: [points + wide * WOBBLE[seed - 100] for points in cost] for seed in SEEDS}

    monkeypatch.setattr(recurrent, "blank_step_costs", costs)


@pytest.fixture
def counted(monkeypatch):
    """Networks are not looked at."""
    floats = lambda tables, steps, arm: (576 * (1 if arm == "shared" else steps), 5000)  # noqa: E731
    monkeypatch.setattr(recurrent, "statistics_floats", floats)
    blank(monkeypatch, (0, 70, 20, 30))


@pytest.mark.parametrize(("pooled", "verdict"), [(40.0, SUPPORTED), (3.0, CONTRADICTED), (4.0, UNDECIDED)])
def test_sharing_is_judged_at_16_steps(pooled, verdict, counted):
    parts = CLAIMS.find("6.2").judge(made_up(8, 90.0) | made_up(16, pooled))
    assert [part.verdict for part in parts] == [CONTRADICTED, verdict, SUPPORTED, SUPPORTED]


@pytest.mark.parametrize(
    ("bn", "verdict"),
    [((0, 30, 40, 50), SUPPORTED), ((0, 11, 40, 50), CONTRADICTED), ((0, 15, 40, 50), UNDECIDED)],
)
def test_length_is_judged_where_the_slow_experiment_was_run(bn, verdict, counted, monkeypatch):
    blank(monkeypatch, bn)
    parts = CLAIMS.find("6.2").judge(made_up(8, 90.0) | made_up(16, 90.0) | made_up(64, 90.0))
    assert "in front of 64" in parts[-1].name
    assert parts[-1].verdict == verdict


def test_experiments_are_judged_at_the_rate_of_the_search():
    best = SimpleNamespace(
        best_value=lambda norm, statistics: {("bn", "precise"): 0.045, ("none", "running"): 0.005}.get(
            (norm, statistics), 0.015
        )
    )
    experiments = recurrent.judging({"lstm_8_rates": best, "lstm_64_rates": best})
    assert [one.name for one in experiments[:4]] == ["lstm_8_bn", "lstm_8_none", "lstm_8_ln", "lstm_8_shared"]
    assert [one.values for one in experiments[:4]] == [(0.045,), (0.005,), (0.015,), (0.045,)]
    assert [one.slow for one in experiments] == [False] * 4 + [True] * 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two networks that differ in the statistics they keep."""
    directory = tmp_path_factory.mktemp("lstm")
    options = ["model=lstm", "model.hidden=8", "optimizer=adam", "norm=bn", "optimizer.base_lr=0.02"]
    for statistics in ("per_step", "shared"):
        tiny_run(directory / statistics, *options, f"model.statistics={statistics}")
    return {name: load(directory / name) for name in ("per_step", "shared")}


def load(directory):
    return trained(SimpleNamespace(run_directory=lambda *cell: directory), "bn", 0.02, 0)


def test_statistics_per_step_and_shared_ones_train_the_same_weights(runs):
    """So `pooled` is an evaluation of the same network."""
    weights = [dict(session.trainer.model.named_parameters()) for session in runs.values()]
    assert weights[0].keys() == weights[1].keys()
    for key in weights[0]:
        assert torch.equal(weights[0][key], weights[1][key])


@pytest.mark.parametrize("statistics", ["precise", "running", "batch"])
def test_without_blank_steps_the_error_is_that_of_the_evaluation(runs, statistics):
    session = runs["per_step"]
    before = {key: value.clone() for key, value in session.trainer.model.state_dict().items()}
    expected, _ = session.evaluator.errors((statistics,), session.config.epochs)
    found = errors_after_blank_steps(session, statistics, (0, 2))
    assert found[0] == expected[statistics]
    assert session.trainer.model.blank_steps == 0
    for key, value in session.trainer.model.state_dict().items():
        assert torch.equal(before[key], value)


def test_precise_statistics_are_of_images_without_blank_steps(runs):
    """Recomputed on sequences with blank steps they would hide what a shift in time costs."""
    session = runs["per_step"]
    model = session.trainer.model
    seen = []
    handle = model.register_forward_pre_hook(
        lambda module, inputs: seen.append((module.state_norm.steps[0].training, module.blank_steps))
    )
    errors_after_blank_steps(session, "precise", (1,))
    handle.remove()
    assert {blank for training, blank in seen if training} == {0}
    assert {blank for training, blank in seen if not training} == {1}
