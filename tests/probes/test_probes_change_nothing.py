"""A user who looks inside would get other results than one who does not."""

import json

import pytest
import torch
from tiny_runs import record, tiny_run

from bnrepro.norms import NORMS

LOOKING = ("probes=[inputs,gradients,shift,moves,correlation,errors]", "probe_steps=[0,3,8]")


def checkpoint(directory) -> dict:
    return torch.load(directory / "checkpoint.pt", weights_only=False)["model"]


def assert_nothing_changes(directory, *overrides: str) -> None:
    for name, more in (("with", LOOKING), ("without", ())):
        result = tiny_run(directory / name, *overrides, *more)
        assert result["status"] == "completed", result["message"]
    assert record(directory / "with") == record(directory / "without")
    looked, alone = checkpoint(directory / "with"), checkpoint(directory / "without")
    assert looked.keys() == alone.keys()
    assert all(torch.equal(looked[key], alone[key]) for key in alone)
    lines = [json.loads(line) for line in (directory / "with" / "probes.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 3, 8]
    assert not (directory / "without" / "probes.jsonl").exists()


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_number_is_the_same_bit_for_bit_under_every_norm(tmp_path, monkeypatch, norm):
    """Losses, weights and running statistics, where the step is replayed too: no step is short of that."""
    monkeypatch.setattr("bnrepro.training.session.is_worth", lambda *_: True)
    assert_nothing_changes(tmp_path, f"norm={norm}")


@pytest.mark.parametrize("model", ["model=mlp", "model=lstm"])
def test_nor_in_networks_that_draw_or_have_norms_by_time_step(tmp_path, model):
    dropout = ("model.dropout=0.2",) if model == "model=mlp" else ()
    assert_nothing_changes(tmp_path, model, *dropout, "norm=bn")


@pytest.mark.gpu
@pytest.mark.parametrize("norm", sorted(NORMS))
def test_nor_does_a_step_that_is_a_cuda_graph(tmp_path, norm):
    """The network is copied while the graph's own memory holds it."""
    assert_nothing_changes(tmp_path, f"norm={norm}", "device=cuda", "deterministic=true")
