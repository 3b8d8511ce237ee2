"""The processes that train one network together, for the norms that know of them."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def processes() -> int:
    """How many there are; 1 without `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def average_over_processes(*tensors: Tensor) -> None:
    """Replace each by its mean over the processes. All of them have to call this."""
    count = processes()
    if count > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= count
