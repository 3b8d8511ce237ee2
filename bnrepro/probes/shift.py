"""Probe `shift`: how a layer's gradient changes because the layers below it took their step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.probes.network import Look, Network, gradient_of, has_weight
from bnrepro.probes.registry import PROBES, Probe
from bnrepro.probes.samples import number


@PROBES.register("shift")
class Shift(Probe):
    """Santurkar et al. 2018, definition 2.1, on the probe batch. For every layer with a weight but the first:

    g is the gradient by the layer's weight before a training step, g′ the one where the layers below have
    taken that step and the layer and those above have not. `cosine` is that of the angle between them,
    `relative_l2` is ‖g′ − g‖ / ‖g‖ (the definition's ‖g′ − g‖ alone grows with the gradient).

    Below is what the pass reaches earlier; a norm belongs to the layer in front of it. A pass forward and
    backward per layer.
    """

    needs_next_step = True

    def __init__(self, first: Look) -> None:
        super().__init__(first)
        self._order: list[str] = []

    def measure(self, look: Look, network: Network, after: Network | None) -> dict[str, Any]:
        if after is None:
            return {}
        order = self._order = self._order or _in_order(network)
        moving = network.copied()
        own, stepped = (dict(model.named_modules()) for model in (moving.model, after.model))
        found: dict[str, Any] = {}
        weighted = [name for name in order if has_weight(own[name])]
        for name in order:
            if name in weighted[1:]:
                moving.backward()
                found[name] = _compare(look.weights[name].gradient, gradient_of(own[name]))
            _take_step(own[name], stepped[name])
        return found


def _in_order(network: Network) -> list[str]:
    """The modules with parameters of their own, in the order in which a pass reaches them."""
    order: dict[str, None] = {}
    handles = [
        module.register_forward_pre_hook(lambda module, inputs, name=name: order.setdefault(name))
        for name, module in network.model.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    network.backward()
    for handle in handles:
        handle.remove()
    return list(order)


@torch.no_grad()
def _take_step(module: nn.Module, stepped: nn.Module) -> None:
    for parameter, moved in zip(
        module.parameters(recurse=False), stepped.parameters(recurse=False), strict=True
    ):
        parameter.copy_(moved)


def _compare(before: Tensor, after: Tensor) -> dict[str, float | None]:
    g, moved = before.double().flatten(), after.double().flatten()
    return {
        "cosine": number(g @ moved / (g.norm() * moved.norm())),
        "relative_l2": number((moved - g).norm() / g.norm()),
    }
