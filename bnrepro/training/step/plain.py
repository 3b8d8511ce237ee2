"""A training step as PyTorch takes it: gradients of a batch, and the optimizer's update."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnrepro.training.optimizer import set_lr
from bnrepro.training.task import Task

Gradients = Callable[[Tensor, Tensor], Tensor]
"""Adds the gradients of a batch's mean loss to the parameters. `x: (N, C, H, W)`, `y: (N,)`; in lockstep both
have the models in front. More images than targets: the further ones only take part in the statistics.
Returns the outputs that have a target, detached."""


class PlainStep:
    """One step of one model, or of a stack of them."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        lr: Callable[[int], float],
        total_steps: int,
        gradients: Gradients,
        seed: Callable[[int], None] | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.lr = lr
        """The rate by step, from 0 over the whole run."""
        self.total_steps = total_steps
        self.gradients = gradients
        self.seed = seed
        """Sets the random numbers of a step, for a network that draws some."""
        self.clip_norm = clip_norm
        """Largest l2 norm of the gradient of all parameters together."""
        self._scheduled = [module for module in model.modules() if hasattr(module, "schedule")]

    def __call__(self, x: Tensor, y: Tensor, number: int) -> Tensor:
        """Step `number` of the run, from 0; the outputs, detached."""
        self.prepare(number)
        return self.take(x, y)

    def prepare(self, number: int) -> None:
        """Set the learning rate, and call `schedule` of the norms that depend on the step's number."""
        set_lr(self.optimizer, self.lr(number))
        if self.seed is not None:
            self.seed(number)
        for module in self._scheduled:
            module.schedule(number, self.total_steps)  # type: ignore[operator]

    def take(self, x: Tensor, y: Tensor) -> Tensor:
        """The part that is the same in every step, and that may be replayed."""
        outputs = self.gradients(x, y)
        if self.clip_norm is not None:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return outputs


def first_outputs(forward: Callable[..., Tensor], images: int) -> Callable[..., Tensor]:
    """`forward` of one model, with the outputs of the first images alone."""
    return lambda *inputs: forward(*inputs)[:images]


def whole_batch(forward: Callable[[Tensor], Tensor], task: Task) -> Gradients:
    """Forward and backward of a batch at once."""

    def gradients(x: Tensor, y: Tensor) -> Tensor:
        outputs = forward(x)
        task.loss(outputs, y, "mean").backward()
        return outputs.detach()

    return gradients
