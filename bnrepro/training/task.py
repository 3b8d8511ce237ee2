"""What a network is trained for: its loss, which images count as errors, and the error of a guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Task:
    """Outputs are `(..., n, C)` and targets `(..., n)`: n images, of one model or of several."""

    loss: Callable[[Tensor, Tensor, str], Tensor]
    """`loss(outputs, targets, reduction)`: `"none"`, each image's `(..., n)`; `"mean"`, that of all `()`."""
    wrong: Callable[[Tensor, Tensor], Tensor]
    """`wrong(outputs, targets)`: is the image an error? bool `(..., n)`."""
    chance: Callable[[int], float]
    """`chance(classes)`: the error of a guess, in percent."""


def _cross_entropy(outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
    if outputs.dim() == 2:
        return F.cross_entropy(outputs, targets, reduction=reduction)
    losses = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction=reduction)
    return losses.view(targets.shape) if reduction == "none" else losses


def _wrong_class(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.argmax(-1) != targets


def _guess(classes: int) -> float:
    return 100.0 * (1 - 1 / classes)


CLASSES = Task(loss=_cross_entropy, wrong=_wrong_class, chance=_guess)
"""Classification: cross-entropy and the top-1 error."""
