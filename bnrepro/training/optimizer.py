"""SGD with momentum; weight decay falls on every parameter, the norms' too (Wu & He 2018, §4.1)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bnrepro.config.schema import OptimizerConfig

MOMENTUM = "momentum_buffer"
"""What torch's SGD calls it in its state."""


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter], lr: float
) -> torch.optim.SGD:
    """PyTorch's SGD, fused: one kernel for all parameters."""
    return torch.optim.SGD(
        parameters,
        lr=lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The rate of the next step; into the tensor that a captured step reads, where there is one.

    In float32 either way: a GPU's fused SGD would multiply by more digits of a number in Python.
    """
    rate = torch.tensor(lr, dtype=torch.float32).item()
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def momentum_buffers(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Each parameter's momentum, zeros where no step was taken yet: the first step then is like the others.

    Empty without momentum.
    """
    group = optimizer.param_groups[0]
    if not group["momentum"]:
        return []
    states = [optimizer.state[parameter] for parameter in group["params"]]
    for parameter, state in zip(group["params"], states, strict=True):
        if state.get(MOMENTUM) is None:
            state[MOMENTUM] = torch.zeros_like(parameter)
    return [state[MOMENTUM] for state in states]
