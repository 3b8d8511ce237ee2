"""Models by name, or by reference to a factory of the user's own.

A factory is one of three, by the name of its first argument:

- `make(layers, *, num_classes, in_channels, **options)`: builds its blocks from `bnrepro.norms.NormLayers`,
  as all of ours do; every norm works in it;
- `make(norm_layer, *, num_classes, in_channels, **options)`: calls `norm_layer(num_features)` where a norm
  stands, as torchvision and timm do;
- `make(*, num_classes, in_channels, **options)`: a plain network, whose batch norms of torch's are replaced.

It may leave out `num_classes` and `in_channels`. The options are the keyword arguments that
`configs/model/<name>.yaml` gives a value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from bnrepro.config.convert import check_accepted, check_arguments
from bnrepro.config.errors import UsageError
from bnrepro.config.reference import load_reference
from bnrepro.config.registry import Registry
from bnrepro.config.schema import RunConfig
from bnrepro.norms import NormLayers, convert, find_factory
from bnrepro.norms.conversion import plain_norm

ModelFactory = Callable[..., nn.Module]

MODELS = Registry[ModelFactory]("model")
"""Every model of the package by the name that configs and the command line use."""
register = MODELS.register
PROGRAM = ("layers", "norm_layer", "num_classes", "in_channels")
"""Arguments of a factory that come from the program and not from the model's YAML."""


def build_model(
    name: str,
    *,
    norm: str | Callable[..., nn.Module] | NormLayers = "bn",
    num_classes: int = 10,
    in_channels: int = 3,
    zero_init_last: bool = False,
    factory: str | None = None,
    **options: Any,
) -> nn.Module:
    """A network with freshly drawn weights (torch's global generator).

    `norm`: a name of `NORMS`, a factory `make(num_channels) -> nn.Module`, or `NormLayers` where options
    are wanted. `zero_init_last` starts the weight of each block's last norm at 0, for the norms that have
    one (Goyal et al. 2017, §5.1). `factory`: a reference to a factory outside of the package.

    Raises `UsageError` for an unknown name or option, for a value out of range, and for what the network does
    not have: residual blocks (`zero_init_last`, `fixup`), a place for the norm, a weight that is learned.
    """
    make = _find(name, options, factory)
    layers = norm if isinstance(norm, NormLayers) else NormLayers(_norm_factory(norm))
    model = _make(name, make, layers, {"num_classes": num_classes, "in_channels": in_channels, **options})
    blocks = residual_blocks(model)
    if zero_init_last:
        _require_blocks("model.zero_init_last=true", name, blocks)
        _zero_last_norms(blocks)
    if layers.traits.initialize is not None:
        _require_blocks("this norm's initialization", name, blocks)
        layers.traits.initialize(model, blocks)
    return model


def check_network(config: RunConfig) -> None:
    """Raises `UsageError` where model or norm do not exist, or do not take an option as it is."""
    _find(config.model.name, config.model.options, config.model.factory)
    NormLayers(find_factory(config.norm.name, config.norm.factory), config.norm.options)


def is_from_outside(config: RunConfig) -> bool:
    """Is the network, or its norm, of a kind that bnrepro's tests have not seen?"""
    return bool(config.norm.factory or config.model.factory or config.model.name == "torchvision")


def has_dropout(config: RunConfig) -> bool:
    """Does the network have layers that draw random numbers in training?"""
    if config.model.factory is None and config.model.name != "torchvision":
        return bool(config.model.options.get("dropout"))  # of our own, only the mlp
    layers = NormLayers(find_factory(config.norm.name, config.norm.factory), config.norm.options)
    model = build_model(config.model.name, norm=layers, factory=config.model.factory, **config.model.options)
    return any(
        (isinstance(m, _DropoutNd) and m.p > 0) or type(m).__name__ in ("StochasticDepth", "DropPath")
        for m in model.modules()
    )


def _find(name: str, options: Mapping[str, Any], reference: str | None) -> ModelFactory:
    factory = MODELS.find(name) if reference is None else load_reference("model.factory", reference)
    check_accepted("model", factory, options, PROGRAM)
    check_arguments("model", factory, options)
    return factory


def _make(name: str, make: ModelFactory, layers: NormLayers, arguments: dict[str, Any]) -> nn.Module:
    """Call a factory as it wants to be called."""
    parameters = inspect.signature(make).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        arguments = {key: value for key, value in arguments.items() if key in parameters}
    if "layers" in parameters:
        return make(layers, **arguments)
    place = f"model={name}"
    if "norm_layer" not in parameters:
        return convert(make(**arguments), layers)
    model = make(lambda num_features: plain_norm(layers, num_features, place), **arguments)
    if own := [key for key, module in model.named_modules() if isinstance(module, _BatchNorm)]:
        raise UsageError(f"{place}: {own[0]} is torch's batch norm; make every norm by norm_layer")
    return model


def _require_blocks(what: str, name: str, blocks: Sequence[nn.Module]) -> None:
    if not blocks:
        raise UsageError(
            f"model={name}: has no residual blocks (modules with branch_convs() and last_norm()), which "
            f"{what} is for"
        )


def _norm_factory(norm: str | Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return find_factory(norm) if isinstance(norm, str) else norm


def residual_blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks in order; each has `branch_convs()` and `last_norm()`."""
    return [m for m in model.modules() if hasattr(m, "branch_convs")]


def _zero_last_norms(blocks: Sequence[nn.Module]) -> None:
    for block in blocks:
        weight = getattr(block.last_norm(), "weight", None)  # type: ignore[operator]
        if weight is None:
            continue
        if not isinstance(weight, nn.Parameter):
            raise UsageError(
                "model.zero_init_last=true: this norm does not learn its weight (norm.affine); the blocks "
                "would stay at 0"
            )
        nn.init.zeros_(weight)
