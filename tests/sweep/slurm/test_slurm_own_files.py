"""A user's own norm and network, in files, on a cluster: a task starts elsewhere and must find the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_sweep import SlurmSweep
from tiny_runs import record

NETWORK = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""


@pytest.mark.slurm
def test_a_task_trains_what_the_users_files_say(sweep: Callable[..., SlurmSweep], tmp_path: Path) -> None:
    files = {
        "norm/mine.yaml": "factory: mine.py:make\n",
        "norm/mine.py": "from torch.nn import GroupNorm\n\ndef make(c):\n    return GroupNorm(2, c)\n",
        "model/net.yaml": "factory: net.py:Net\n",
        "model/net.py": NETWORK,
    }
    for name, text in files.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    axes = ("--norms", "bn,mine", "--batch-sizes", "16", "--config-dir", str(tmp_path / "conf"), "model=net")
    on_slurm, local = sweep(*axes), sweep(*axes, directory="local")
    done = on_slurm.submit("--wait")
    assert done.code == 0, done.err
    assert local.submit(launcher="local").code == 0
    for cell in ("bn-b16-s0", "mine-b16-s0"):
        assert record(on_slurm.cell(cell)) == record(local.cell(cell))
