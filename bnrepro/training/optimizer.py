"""SGD with momentum, Adam, and the learning rate; weight decay falls on every parameter, the norms' too.

(Wu & He 2018, §4.1.)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from bnrepro.config.schema import OptimizerConfig, ScheduleConfig

REFERENCE_BATCH = 256
"""`optimizer.base_lr` is the rate at this many images per step (Goyal et al. 2017, §2.1)."""


def scaled_lr(optimizer: OptimizerConfig, sgd_batch_size: int) -> float:
    """The peak learning rate at `sgd_batch_size` images per step."""
    ratio = sgd_batch_size / REFERENCE_BATCH
    factor = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[optimizer.scaling]
    return optimizer.base_lr * factor


def lr_schedule(
    schedule: ScheduleConfig, unscaled: float, peak: float, epochs: int, steps_per_epoch: int
) -> Callable[[int], float]:
    """The rate as a function of the step, counted from 0 over the whole run.

    `cosine` falls from `peak` to 0 at the last epoch's end, step by step (Loshchilov & Hutter 2017, Eq. 5);
    `step` multiplies by `gamma` after each of `milestones`. Warm-up is part of the run's epochs and Goyal et
    al.'s (2017, §2.2): linear from the `unscaled` rate (`optimizer.base_lr`, that of 256 images) at the first
    step to `peak` at the end of `warmup_epochs`. A peak that is not above the unscaled rate needs none.
    """
    warm = peak > max(unscaled, schedule.warmup_above_lr)
    warmup = schedule.warmup_epochs * steps_per_epoch if warm else 0.0
    total = epochs * steps_per_epoch

    def rate(step: int) -> float:
        if step < warmup:
            return unscaled + (peak - unscaled) * step / warmup
        if schedule.name == "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        passed = sum(step >= round(m * steps_per_epoch) for m in schedule.milestones)
        return peak * schedule.gamma**passed

    return rate


class SGD(torch.optim.SGD):
    """PyTorch's, with the methods that PyTorch wraps for its compiler as they are written.

    Each wrapper imports that compiler when it is first called: 2 s and 250 MB of every run. They matter where
    the optimizer's step itself is compiled, which is not done here.
    """

    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)
    state_dict = inspect.unwrap(torch.optim.SGD.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.SGD.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class Adam(torch.optim.Adam):
    """PyTorch's (Kingma & Ba 2015, Algorithm 1), as `SGD` is."""

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    """PyTorch's own, fused: one kernel for all parameters."""
    if config.name == "adam":
        assert config.beta2 is not None and config.eps is not None  # validate() saw to it
        return Adam(
            parameters,
            lr=lr,
            betas=(config.momentum, config.beta2),
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
    return SGD(
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


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, list[Tensor]]:
    """What the optimizer keeps, by torch's names: each parameter's tensor, in their order.

    Zeros where no step was taken yet, so that the first step is like the others. Empty without momentum.
    """
    group = optimizer.param_groups[0]
    names = _state_names(optimizer)
    for parameter in group["params"]:
        state = optimizer.state[parameter]
        for name in names:
            if state.get(name) is None:  # Adam counts the steps of every parameter
                zeros = torch.zeros((), device=parameter.device)
                state[name] = zeros if name == "step" else torch.zeros_like(parameter)
    return {name: [optimizer.state[parameter][name] for parameter in group["params"]] for name in names}


def _state_names(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    if isinstance(optimizer, torch.optim.Adam):
        return ("step", "exp_avg", "exp_avg_sq")
    return ("momentum_buffer",) if optimizer.param_groups[0]["momentum"] else ()
