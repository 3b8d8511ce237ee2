"""A user who looks inside would get other results than one who does not."""

import json

import pytest
import torch
from tiny_runs import record, tiny_run

from bnrepro.norms import NORMS

LOOKING = ("probes=[inputs,gradients,shift,correlation]", "probe_steps=[0,3,8]")


def checkpoint(directory) -> dict:
    return torch.load(directory / "checkpoint.pt", weights_only=False)["model"]


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_number_is_the_same_bit_for_bit_under_every_norm(tmp_path, monkeypatch, norm):
    """Losses, weights and running statistics, where the step is replayed too: no step is short of that."""
    monkeypatch.setattr("bnrepro.training.session.WORTH_STEPS", 1)
    for name, more in (("with", LOOKING), ("without", ())):
        result = tiny_run(tmp_path / name, f"norm={norm}", *more)
        assert result["status"] == "completed", result["message"]
    assert record(tmp_path / "with") == record(tmp_path / "without")
    looked, alone = checkpoint(tmp_path / "with"), checkpoint(tmp_path / "without")
    assert looked.keys() == alone.keys()
    assert all(torch.equal(looked[key], alone[key]) for key in alone)
    lines = [json.loads(line) for line in (tmp_path / "with" / "probes.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 3, 8]
    assert not (tmp_path / "without" / "probes.jsonl").exists()
