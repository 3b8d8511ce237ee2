"""Dropout whose draws depend on the seed and the step, and on nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Each value is 0 with probability `rate`, the others are divided by 1 − rate (Srivastava et al. 2014).

    torch's own draws from the global generator, which a checkpoint does not keep: an interrupted run would go
    on with other draws.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        # with the weights' draws: it depends on the seed
        self.key = int(torch.randint(2**31, ()))
        self._step = 0

    def schedule(self, step: int, total_steps: int) -> None:
        """Called before each step of the run, from 0."""
        self._step = step

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        generator = torch.Generator(x.device).manual_seed(self.key * 2**31 + self._step)
        kept = torch.rand(x.shape, generator=generator, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)
