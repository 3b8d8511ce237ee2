"""What a marked test needs, and the reason it is skipped with where that is missing."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

# A run sets its own number of threads, a test that calls a module does not: two threads on a machine that
# does other work wait for each other, and the same test takes ten times as long. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@functools.cache
def missing_for_slurm() -> str:
    """Only a development cluster will do: the tests cancel jobs and kill steps."""
    configuration = Path(os.environ.get("SLURM_CONF") or "/nonexistent")
    if shutil.which("sbatch") is None:
        return "Slurm is not installed: as root, scripts/slurm-dev-cluster.sh install"
    if not configuration.is_file() or "ClusterName=bnrepro_dev\n" not in configuration.read_text():
        return "SLURM_CONF names no cluster of scripts/slurm-dev-cluster.sh"
    try:
        answer = subprocess.run(["sinfo", "-h"], capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "sinfo does not answer within 20 s"
    return "" if answer.returncode == 0 else f"no cluster answers: {answer.stderr.strip()}"


@functools.cache
def missing_for_gpu() -> str:
    import torch

    return "" if torch.cuda.is_available() else "torch.cuda is not available"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in (("slurm", missing_for_slurm), ("gpu", missing_for_gpu)):
        if item.get_closest_marker(marker) and (reason := missing()):
            pytest.skip(reason)


@pytest.fixture
def accounting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's commands talk to the cluster with sacct (for tests marked slurm)."""
    configuration = os.environ.get("BNREPRO_TEST_ACCOUNTING_CONF")
    if not configuration:
        pytest.skip(
            "BNREPRO_TEST_ACCOUNTING_CONF names no cluster with accounting: scripts/test.sh starts one"
        )
    monkeypatch.setenv("SLURM_CONF", configuration)
