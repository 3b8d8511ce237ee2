"""A user would lose a seed's files, its place, or its numbers, because it trained together with others."""

import json

import pytest
import torch
from tiny_runs import record, tiny_config, tiny_run

from bnrepro.rundir.record import CHECKPOINT
from bnrepro.training.lockstep.group import Member, run_group
from bnrepro.training.lockstep.stacked import Lockstep
from bnrepro.training.process.interrupt import Interrupted, StopFlag

RUN = ("epochs=3", "evaluation.every=1", "tensorboard=true")


def members(root, seeds, *overrides, report=lambda progress: None):
    return [
        Member(tiny_config(*RUN, f"seed={seed}", *overrides), root / f"s{seed}", report) for seed in seeds
    ]


def group(root, seeds, *overrides, stop=None, **options):
    return run_group(members(root, seeds, *overrides, **options), overrides=(), stop=stop or StopFlag())


def losses(directory):
    return [json.loads(line)["loss"] for line in (directory / "metrics.jsonl").read_text().splitlines()]


def stopping_at(step):
    """A flag, and a report that sets it once the runs are there."""
    stop = StopFlag()

    def report(progress):
        if progress.step >= step:
            stop.set()

    return stop, report


def test_every_seed_has_the_directory_and_the_losses_of_a_run_alone(tmp_path):
    results = group(tmp_path, (0, 1, 2))
    for seed, result in enumerate(results):
        own = tmp_path / f"s{seed}"
        alone = tiny_run(tmp_path / f"alone{seed}", *RUN, f"seed={seed}")
        assert losses(own) == pytest.approx(losses(tmp_path / f"alone{seed}"), rel=5e-3)
        assert result["seed"] == seed
        assert result.keys() == alone.keys()
        assert {path.name for path in own.iterdir()} == {path.name for path in tmp_path.glob("alone0/*")}
        assert json.loads((own / "env.json").read_text())["lockstep"] == 3


def test_a_checkpoint_holds_one_model_and_goes_on_alone(tmp_path):
    stop, report = stopping_at(9)
    with pytest.raises(Interrupted):
        group(tmp_path, (0, 1, 2), stop=stop, report=report)
    tiny_run(tmp_path / "alone", *RUN)
    size, alone = ((tmp_path / name / CHECKPOINT).stat().st_size for name in ("s0", "alone"))
    assert size < 1.2 * alone
    assert tiny_run(tmp_path / "s0", *RUN)["status"] == "completed"
    assert losses(tmp_path / "s0") == pytest.approx(losses(tmp_path / "alone"), rel=5e-3)


def test_an_interrupted_group_goes_on_to_equal_metrics(tmp_path):
    group(tmp_path / "whole", (0, 1))
    stop, report = stopping_at(9)
    with pytest.raises(Interrupted):
        group(tmp_path / "cut", (0, 1), stop=stop, report=report)
    assert not (tmp_path / "cut" / "s0" / "result.json").exists()
    group(tmp_path / "cut", (0, 1))
    for seed in ("s0", "s1"):
        assert record(tmp_path / "cut" / seed) == record(tmp_path / "whole" / seed)


def test_seeds_whose_checkpoints_are_apart_are_brought_to_their_ends(tmp_path):
    """A kill between two members' checkpoints: the group cannot go on together, and each still can."""
    stop, report = stopping_at(9)
    with pytest.raises(Interrupted):
        group(tmp_path, (0, 1, 2), stop=stop, report=report)
    (tmp_path / "s1" / CHECKPOINT).unlink()
    results = group(tmp_path, (0, 1, 2))
    assert [result["status"] for result in results] == ["completed"] * 3
    for seed in (0, 1, 2):
        tiny_run(tmp_path / f"alone{seed}", *RUN, f"seed={seed}")
        assert losses(tmp_path / f"s{seed}") == pytest.approx(losses(tmp_path / f"alone{seed}"), rel=5e-3)


def test_a_seed_that_diverges_leaves_the_others_as_they_are(tmp_path, monkeypatch):
    group(tmp_path / "well", (0, 1, 2))

    class OneBad(Lockstep):
        def __init__(self, sessions):
            super().__init__(sessions)
            self.weight = next(sessions[1].trainer.model.parameters())

        def train_epoch(self, positions, pause):
            if positions[0].epoch == 1:
                with torch.no_grad():
                    self.weight.fill_(float("nan"))
            return super().train_epoch(positions, pause)

    monkeypatch.setattr("bnrepro.training.lockstep.group.Lockstep", OneBad)
    results = group(tmp_path / "bad", (0, 1, 2))
    assert [result["status"] for result in results] == ["completed", "diverged", "completed"]
    assert "(epoch 2)" in results[1]["message"]
    assert results[1]["error"]["running"] == pytest.approx(90)
    for seed in ("s0", "s2"):
        assert record(tmp_path / "bad" / seed) == record(tmp_path / "well" / seed)


def test_finished_seeds_are_not_trained_again(tmp_path):
    first = group(tmp_path, (0, 1))
    before = (tmp_path / "s0" / "metrics.jsonl").stat().st_mtime_ns
    both = group(tmp_path, (0, 1, 2))
    assert both[:2] == first
    assert (tmp_path / "s0" / "metrics.jsonl").stat().st_mtime_ns == before
    assert both[2]["status"] == "completed"


def test_what_fails_is_the_result_of_every_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(Lockstep, "train_epoch", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
    results = group(tmp_path, (0, 1))
    assert [(result["status"], result["message"]) for result in results] == [
        ("failed", "RuntimeError: no memory")
    ] * 2
