"""A network that exists, with another norm in place of its batch norms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.config.convert import check_accepted
from bnrepro.config.errors import UsageError
from bnrepro.norms.batch_statistics import BatchStatistics
from bnrepro.norms.registry import CONTEXT, NormLayers, find_factory

TORCHS_OWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""The layers that are replaced. A subclass may do more than normalize."""


def convert(model: nn.Module, norm: str | Callable[..., nn.Module] | NormLayers, **options: Any) -> nn.Module:
    """Replace every batch norm of torch's in `model`, in place; the model, or the new layer if it was one.

    `norm`: a name of `NORMS` with its options (`convert(model, "bn", norm_batch_size=4)` for ghost
    batches), or a factory `make(num_channels, **options)`. Weight, bias and running statistics are copied
    where the new layer has them, eps and momentum where it takes them and `options` do not give them; the
    weight not where `options` have another `initial_weight` than 1.
    `groups="auto"` is the largest number of groups up to 32 that divides the channels and leaves two or
    more in each.

    Raises `UsageError` with the layer's name for what would not be right: a subclass of torch's batch norm,
    a layer without weight or running statistics where the new one has them, a norm that needs its own
    convolution, bias, activation or initialization; and for a model without batch norm.
    """
    layers = norm if isinstance(norm, NormLayers) else _layers(norm, options)
    if batch_norms := {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}:
        made: dict[nn.Module, nn.Module] = {}
        for name, layer in batch_norms.items():
            made[layer] = _converted(name, layer, layers)
        return _put(model, made)
    raise UsageError(f"{type(model).__name__}: has no batch norm of torch's to replace")


def plain_norm(layers: NormLayers, num_channels: int, place: str) -> nn.Module:
    """A layer where a network has nothing but a place for a norm. Raises `UsageError` naming `place`."""
    if needs := _needs(layers):
        raise UsageError(
            f"{place}: this norm needs {needs}, which only a network built with NormLayers has "
            "(a factory whose first argument is called layers)"
        )
    return layers.norm(num_channels)


def _layers(norm: str | Callable[..., nn.Module], options: dict[str, Any]) -> NormLayers:
    factory = find_factory(norm) if isinstance(norm, str) else norm
    check_accepted("norm", factory, options, {"num_channels"})
    own = {key: value for key, value in options.items() if key not in CONTEXT}
    return NormLayers(factory, own, {key: options[key] for key in options if key in CONTEXT})


def _needs(layers: NormLayers) -> str:
    """What the norm needs of a network beside its place."""
    asks = layers.traits
    if asks.conv is not nn.Conv2d:
        return "a convolution of its own"
    if asks.conv_bias:
        return "biases in the convolutions"
    if asks.activation is not nn.ReLU:
        return "to stand in for the activation"
    return "to initialize the network" if asks.initialize is not None else ""


def _converted(name: str, layer: _BatchNorm, layers: NormLayers) -> nn.Module:
    place = name or type(layer).__name__
    if type(layer) not in TORCHS_OWN:
        raise UsageError(
            f"{place}: {type(layer).__name__} is not torch's batch norm but a subclass, which may do more"
        )
    new = plain_norm(_with_its_settings(place, layer, layers), layer.num_features, place)
    if layer.weight is None and any(True for _ in new.parameters()):
        raise UsageError(f"{place}: has no weight and bias (affine=False), and the new norm would learn some")
    if layer.running_mean is None and isinstance(new, BatchStatistics):
        raise UsageError(
            f"{place}: keeps no running statistics (track_running_stats=False), and the new norm would"
        )
    given = {"weight"} if layers.options.get("initial_weight", 1.0) != 1.0 else set()
    _copy(layer, new, given)
    return new.train(layer.training)


def _with_its_settings(place: str, layer: _BatchNorm, layers: NormLayers) -> NormLayers:
    """The norm with the layer's eps and momentum, where it takes them and was given no others."""
    accepted = inspect.signature(layers.factory).parameters
    asked = {key for key in ("eps", "momentum") if key in accepted and key not in layers.options}
    if "momentum" in asked and layer.momentum is None:
        raise UsageError(f"{place}: averages over all batches (momentum=None), which the new norm does not")
    own = {key: getattr(layer, key) for key in asked}
    return NormLayers(layers.factory, {**layers.options, **own}, layers.context)


@torch.no_grad()
def _copy(layer: _BatchNorm, new: nn.Module, given: Collection[str]) -> None:
    """What both have but for what is `given`, on the layer's device and in its precision."""
    if layer.weight is not None:
        new.to(layer.weight.device, layer.weight.dtype)
    theirs = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    for key, value in [*new.named_parameters(), *new.named_buffers()]:
        if key not in given and key in theirs and value.shape == theirs[key].shape:
            value.copy_(theirs[key])
    if layer.weight is not None:
        for key, parameter in new.named_parameters():
            parameter.requires_grad_(getattr(theirs.get(key), "requires_grad", True))


def _put(model: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    if model in made:
        return made[model]
    for module in model.modules():
        for key, child in module._modules.items():  # `named_children` names one that stands twice once
            if child in made:
                module._modules[key] = made[child]
    return model
