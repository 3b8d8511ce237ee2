"""The random stream of the initial weights; the data's streams are `bnrepro.data.resident.epoch_table`'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_WEIGHTS = 0x77656967


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Draw weights from a stream of their own, the same for every norm and batch size of a seed.

    The global generators are as they were afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        state = np.random.SeedSequence((_WEIGHTS, seed)).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(state) & (2**63 - 1))
        yield
