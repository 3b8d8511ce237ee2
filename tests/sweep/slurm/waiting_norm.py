"""A batch norm whose run waits in its middle for a signal: however fast the machine is, it has not ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from torch import nn

from bnrepro.norms import traits
from bnrepro.norms.batch_norm import BatchNorm

FOLDER = "BNREPRO_TEST_WAITING"
"""Where a run that waits says so. Not set: no run waits."""
WAITS_AT = 10
"""Beyond the first epoch, and the checkpoint after it, for a tiny run at a batch size of 16 or 32."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Waiting(BatchNorm):
    """Waits once per normalization batch, which tells the cells of a sweep apart: never when continued."""

    def schedule(self, step: int, total_steps: int) -> None:
        if step == WAITS_AT and FOLDER in os.environ:
            mark = Path(os.environ[FOLDER]) / str(self.norm_batch_size)
            if not mark.exists():
                wait_for_a_signal(mark)


def wait_for_a_signal(mark: Path) -> None:
    """Write the process's id to `mark`, wait, and hand the signal on to who was to get it."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNALS}
    written = mark.with_suffix(".tmp")
    written.write_text(str(os.getpid()))
    written.rename(mark)
    while not came:
        time.sleep(0.01)
    for number, handler in before.items():
        signal.signal(number, handler)
    for number in came:
        os.kill(os.getpid(), number)


@traits(batch_statistics=True)
def make(num_channels: int, *, norm_batch_size: int | None = None) -> nn.Module:
    return Waiting(num_channels, norm_batch_size)
