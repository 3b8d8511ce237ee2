"""Whoever has a cluster would come to other verdicts, or never to one."""

import json
import time
from pathlib import Path

import pytest
import tiny_claim
from tiny_runs import call

from bnrepro.claims import CLAIMS
from bnrepro.sweep.slurm.jobs import read_jobs
from bnrepro.sweep.slurm.queue import look

SECONDS = 240


@pytest.mark.slurm
def test_a_cluster_comes_to_the_same_verdict(tmp_path, monkeypatch):
    monkeypatch.setitem(CLAIMS, "tiny", tiny_claim.CLAIM)
    here, there = tmp_path / "here", tmp_path / "there"
    assert call("claims", "tiny", "--out", str(here), "--jobs", "1").code == 0
    end = time.monotonic() + SECONDS
    calls = 0
    while not (there / "claim_tiny.png").exists():
        assert time.monotonic() < end
        ended = call("claims", "tiny", "--launcher", "slurm", "--out", str(there))
        assert ended.code == 0, ended.err
        calls += 1
        wait_for_jobs(there, end)
    assert calls == 3  # a round each, and the verdict
    assert claims(there) == claims(here)


def wait_for_jobs(directory: Path, end: float) -> None:
    for sweep in directory.glob("experiments/*"):
        while any(job.alive for job in look(read_jobs(sweep)).values()):
            assert time.monotonic() < end
            time.sleep(0.5)


def claims(directory: Path) -> object:
    return json.loads((directory / "claims.json").read_text())["claims"]
