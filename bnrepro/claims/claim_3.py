"""Claim 3: the training-time algorithm and its hand-derived gradients are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.analysis.style import GRAY
from bnrepro.claims.claim import Tables, register
from bnrepro.claims.figures import Panel, panels
from bnrepro.claims.verdict import Part, holds
from bnrepro.norms import build_norm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOUND = 1e-9
SHAPES = ((60, 16), (8, 16, 4, 4), (2, 16, 1, 1), (32, 16, 7, 5))
"""Of activations: a layer of units, maps, the smallest batch that has a variance, an uneven map."""


def written_out(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The algorithm, line by line, for autograd to differentiate."""
    dims = (0, *range(2, x.dim()))
    shape = (1, -1, *(1,) * (x.dim() - 2))
    mean = x.mean(dims, keepdim=True)
    var = (x - mean).square().mean(dims, keepdim=True)
    return weight.view(shape) * (x - mean) / (var + eps).sqrt() + bias.view(shape)


def by_hand(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    layer = build_norm("bn_derived", x.shape[1], eps=eps).double()
    return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))


def torchs_own(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)


QUANTITIES = ("y", "∂x", "∂γ", "∂β")


@cache
def differences() -> dict[str, float]:
    """Largest difference over all shapes: of the outputs, and of the gradients by x, γ and β."""
    found: dict[str, float] = {}
    generator = torch.Generator().manual_seed(0)
    for shape in SHAPES:
        sizes = (shape, shape[1:2], shape[1:2], shape)
        x, weight, bias, grad = (
            torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes
        )
        ours = _results(by_hand, (x, weight, bias), grad)
        for name, way in (("autograd", written_out), ("torch", torchs_own)):
            theirs = _results(way, (x, weight, bias), grad)
            for quantity, one, other in zip(QUANTITIES, ours, theirs, strict=True):
                key = f"{quantity}, {name}"
                found[key] = max(found.get(key, 0.0), (one - other).abs().max().item())
    return found


def _results(way: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    y = way(*leaves, 1e-5)
    return [y, *torch.autograd.grad(y, leaves, grad)]


def judge(tables: Tables) -> Sequence[Part]:
    largest = max(differences().values())
    found = f"largest difference {largest:.1e}, {len(SHAPES)} shapes"
    return [
        holds(
            "equal to autograd and torch", f"< {BOUND:g} in float64", largest < BOUND, found, **differences()
        )
    ]


def draw(tables: Tables) -> Figure:
    def bars(panel: Panel) -> None:
        panel.tiny_bars(differences(), right=1e-7)
        panel.ax.axvline(BOUND, color=GRAY, linestyle="--")
        panel.labels("largest absolute difference, float64", "")

    return panels([bars], "By hand against autograd and torch; dashed: the bound")


CLAIM = register(
    id="3",
    title="The algorithm and its gradients",
    text=(
        "Training normalizes with mean and variance of the mini-batch; six derivatives carry the loss back "
        "to inputs, γ and β (source, section 3). `norm=bn_derived` has each of them as a line of code; it is "
        "compared with autograd on the algorithm written out, and with torch's own layer."
    ),
    published="Ioffe & Szegedy 2015, Algorithm 1 and §3.",
    rounds=(),
    judge=judge,
    draw=draw,
)
