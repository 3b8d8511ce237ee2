"""A copy of the network with the probe batch, and what one pass of it leaves in every layer."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.data.draws import set_seed
from bnrepro.norms.registry import role_of

SEED = 0
"""Of what a network draws while it is looked at, as dropout: the same at every step."""


@dataclass(frozen=True)
class Network:
    """The network at one step: a copy, so that whatever is done to it leaves the run alone."""

    model: nn.Module
    with_precision: Callable[[nn.Module], Callable[[Tensor], Tensor]]
    """The model as the run computes it: `x: (N, C, H, W)` to outputs `(N, classes)`."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """The mean loss of outputs and targets."""
    x: Tensor
    y: Tensor
    evaluate: Callable[[nn.Module], dict[str, dict[str, float]]]
    """Mean loss and error (percent) of a model in evaluation, of the probe batch and of the test images:
    `{"train": {"loss": …, "error": …}, "test": …}`."""

    def copied(self) -> Network:
        """The same, with a model of its own in training mode."""
        return replace(self, model=copy.deepcopy(self.model).train())

    def snapshots(self) -> Callable[[], Network]:
        """Each call is a copy of the network as it is then, good until the call after the next.

        Two copies take turns: copying a model's tensors takes a tenth of the time of copying the model.
        """
        turns = itertools.cycle([self.copied(), self.copied()])

        def snapshot() -> Network:
            taken = next(turns)
            with torch.no_grad():
                for mine, now in zip(_tensors(taken.model), _tensors(self.model), strict=True):
                    mine.copy_(now)
            return taken

        return snapshot

    def backward(self) -> float:
        """One pass forward and backward of the probe batch, as in training; the loss.

        Gradients are those of this pass. Running statistics and the process's random state are as before.
        """
        self.model.zero_grad()
        with own_random_state(self.x.device), kept_buffers(self.model):
            loss = self.loss(self.with_precision(self.model)(self.x), self.y)
            loss.backward()
        return loss.item()


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    return itertools.chain(model.parameters(), model.buffers())


@contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """Draws within are the same every time, and leave the random state of the process as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        set_seed(SEED)
        yield


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """What passes change in the model's buffers is undone: a look at it would be part of its evaluation."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    yield
    with torch.no_grad():
        for buffer, value in before:
            buffer.copy_(value)


@dataclass(frozen=True)
class Activation:
    """A place where a non-linearity is applied."""

    inputs: Tensor
    """`(N, C, …)`; where one module is used several times in a pass, all of them along N."""
    module: nn.Module


@dataclass(frozen=True)
class Norm:
    """A place where a norm is applied, also where it is the identity."""

    inputs: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class Weights:
    """A layer with a weight matrix or kernel."""

    gradient: Tensor
    """Of the loss by the weight."""
    output_gradient: Tensor
    """Of the loss by what the layer returns, `(N, C, …)`."""


@dataclass(frozen=True)
class Look:
    """What one pass of the probe batch leaves, by the layers' names, in the order of the pass."""

    loss: float
    activations: Mapping[str, Activation]
    norms: Mapping[str, Norm]
    weights: Mapping[str, Weights]


NOT_LOOKED = Look(math.nan, {}, {}, {})


@dataclass
class _Seen:
    """Tensors of one module, in the order of its calls."""

    module: nn.Module
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)


def look(network: Network) -> Look:
    """Pass the probe batch through the network, forward and backward, and keep what every layer had."""
    seen: dict[str, _Seen] = {}
    with ExitStack() as hooks:
        for name, module in network.model.named_modules():
            if role_of(module) or has_weight(module):
                handle = module.register_forward_hook(_recorder(name, seen))
                hooks.callback(handle.remove)
        loss = network.backward()
    roles = {name: role_of(each.module) for name, each in seen.items()}
    return Look(
        loss=loss,
        activations={
            name: Activation(_joined(each.inputs), each.module)
            for name, each in seen.items()
            if roles[name] == "activation"
        },
        norms={
            name: Norm(_joined(each.inputs), _joined(each.outputs))
            for name, each in seen.items()
            if roles[name] == "norm"
        },
        weights={
            name: Weights(gradient_of(each.module), _joined(each.gradients[::-1]))
            for name, each in seen.items()
            if has_weight(each.module) and each.gradients
        },
    )


def has_weight(module: nn.Module) -> bool:
    """Has it a trained weight of its own that mixes channels: a convolution, a linear layer?"""
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.dim() > 1 and weight.requires_grad


def gradient_of(module: nn.Module) -> Tensor:
    """Of its weight; zeros where the pass did not reach it."""
    weight: Any = module.weight
    return torch.zeros_like(weight) if weight.grad is None else weight.grad.detach().clone()


def _recorder(name: str, seen: dict[str, _Seen]) -> Callable[[nn.Module, Any, Any], None]:
    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        mine = seen.setdefault(name, _Seen(module))
        if role_of(module):
            # clones: an activation may work in place
            mine.inputs.append(inputs[0].detach().clone())
            mine.outputs.append(output.detach().clone())
        if has_weight(module) and output.requires_grad:
            output.register_hook(lambda gradient: mine.gradients.append(gradient.detach().clone()))

    return record


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat(tensors).float()
