"""Normalize grouped activations with given statistics, with a say in how they depend on the activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from bnrepro.norms.grouped import group_dims, values_per_group


class Standardize(Function):
    """y = weight · x̂ + bias with x̂ = (x − mean) / std, for `x: (groups, images, C, ...)`.

    `mean` and `std` are `(groups or 1, 1, C, 1, ...)`, `weight` and `bias` as well. `live` (a scalar tensor)
    is 1 where mean and std are x's own, so that the gradient runs through them too (`closed_form` in
    `bn_derived`), and 0 where they are constants:

        ∂l/∂x = (weight / std) · (g − live · (mean(g) + x̂ · mean(g x̂))),  g = ∂l/∂y

    Few passes over the data, for all groups at once. Not differentiable twice.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, mean: Tensor, std: Tensor, weight: Tensor, bias: Tensor, live: Tensor) -> Tensor:
        scale = weight / std
        return torch.addcmul(bias - mean * scale, x, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, mean, std, weight, bias, live = inputs
        ctx.bias_shape = bias.shape
        ctx.save_for_backward(x, mean, std, weight, live)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0]
        x, mean, std, weight, live = ctx.saved_tensors
        m, dims = values_per_group(x), group_dims(x)
        x_hat = torch.addcmul(-mean / std, x, 1 / std)
        sum_g = g.sum(dims, keepdim=True)
        sum_gx = (g * x_hat).sum(dims, keepdim=True)
        scale = weight / std
        along = -scale * live / m
        grad_x = torch.addcmul(torch.addcmul(along * sum_g, g, scale), x_hat, along * sum_gx)
        grad_weight = sum_gx.sum_to_size(weight.shape)
        grad_bias = sum_g.sum_to_size(ctx.bias_shape)
        return grad_x, None, None, grad_weight, grad_bias, None
