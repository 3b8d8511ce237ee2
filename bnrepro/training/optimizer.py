"""SGD with momentum; weight decay falls on every parameter, the norms' too (Wu & He 2018, §4.1)."""

from __future__ import annotations

import torch
from torch import nn

from bnrepro.config.schema import OptimizerConfig


def build_optimizer(config: OptimizerConfig, model: nn.Module, lr: float) -> torch.optim.SGD:
    """PyTorch's SGD, fused: one kernel for all parameters."""
    return torch.optim.SGD(
        model.parameters(),
        lr=lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
