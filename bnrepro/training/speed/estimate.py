"""What a step costs, counted instead of measured: on torch's meta device, which computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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
    """Count a step of `images` images of `shape` (C, H, W) through the network."""
    with torch.device("meta"):
        model = make_model()
        x = torch.empty(images, *shape)
        labels = torch.empty(images, dtype=torch.long)
    parameters = {id(parameter) for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(tensor) not in parameters:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        CLASSES.loss(model(x), labels, "mean").backward()
    return Estimate(
        parameters=sum(p.numel() for p in model.parameters()),
        flops_per_image=counter.get_total_flops() / images,
        saved_bytes_per_image=sum(saved.values()) / images,
    )
