"""What a step costs, counted instead of measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from bnrepro.training.step.operations import Operations
from bnrepro.training.task import CLASSES

OPTIMIZER_COPIES = 3
"""Parameter, gradient and momentum."""


@dataclass(frozen=True)
class Estimate:
    """Of one training step, by image."""

    parameters: int
    flops_per_image: float
    """Floating-point operations of convolutions and matrix products, forward and backward (a
    multiplication and an addition are two)."""
    saved_bytes_per_image: float
    """What forward keeps for backward, in float32."""

    def memory_bytes(self, images: int, precision: str) -> float:
        """On a GPU, with `images` in a forward pass: parameters, optimizer, and what is kept for backward.

        The kernels' work space and what the allocator cannot use are not in it: another 10 to 20 %.
        """
        size = {"float32": 1.0, "bf16": 0.5}[precision]
        return 4 * OPTIMIZER_COPIES * self.parameters + size * self.saved_bytes_per_image * images


def estimate(make_model: Callable[[], nn.Module], shape: tuple[int, ...], images: int) -> Estimate:
    """Count a step of `images` images of `shape` (C, H, W) on torch's meta device, which computes nothing."""
    with torch.device("meta"):
        return count_step(make_model(), shape, images)


def count_step(model: nn.Module, shape: tuple[int, ...], images: int) -> Estimate:
    """Count a step of `images` images of `shape` (C, H, W), on the device on which tensors are made now.

    The step is taken, without the optimizer's part: the parameters keep their gradients.
    """
    x = torch.zeros(images, *shape)
    labels = torch.zeros(images, dtype=torch.long)
    parameters = {id(parameter) for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(tensor) not in parameters:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    counter = _FlopCounter()
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        CLASSES.loss(model(x), labels, "mean").backward()
    return Estimate(
        parameters=sum(p.numel() for p in model.parameters()),
        flops_per_image=counter.flops / images,
        saved_bytes_per_image=sum(saved.values()) / images,
    )


class _FlopCounter(Operations):
    """Adds up what PyTorch's formulas say of each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        result = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        return result
