"""A user who asks for torch.compile would train something else, or nothing at all."""

import json
import shutil

import pytest
from tiny_runs import tiny_run


def losses(directory):
    return [json.loads(line)["loss"] for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_run_has_the_losses_of_a_plain_one(tmp_path):
    run = ("data.train_subset=64", "norm=bn", "protocol=workers", "protocol.workers=2", "batch_size=8")
    tiny_run(tmp_path / "plain", *run)
    tiny_run(tmp_path / "compiled", *run, "compile=true")
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)
