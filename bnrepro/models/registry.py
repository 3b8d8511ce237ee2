"""Models by name: a factory `make(layers, *, num_classes, in_channels, **options) -> nn.Module`.

`layers` is the norm with what belongs to it (`bnrepro.norms.NormLayers`); the options are the keyword
arguments that `configs/model/<name>.yaml` gives a value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from bnrepro.config.convert import check_arguments
from bnrepro.config.errors import UsageError
from bnrepro.config.registry import Registry
from bnrepro.config.schema import RunConfig
from bnrepro.norms import NormLayers, find_factory

ModelFactory = Callable[..., nn.Module]

MODELS = Registry[ModelFactory]("model")
"""Every model of the package by the name that configs and the command line use."""
register = MODELS.register


def build_model(
    name: str,
    *,
    norm: str | Callable[..., nn.Module] | NormLayers = "bn",
    num_classes: int = 10,
    in_channels: int = 3,
    zero_init_last: bool = False,
    **options: Any,
) -> nn.Module:
    """A network with freshly drawn weights (torch's global generator).

    `norm`: a name of `NORMS`, a factory `make(num_channels) -> nn.Module`, or `NormLayers` where options
    are wanted. `zero_init_last` starts the weight of each block's last norm at 0, for the norms that have
    one (Goyal et al. 2017, §5.1). Raises `UsageError` for an unknown name or option, and for a
    value out of range.
    """
    factory = _find(name, options)
    layers = norm if isinstance(norm, NormLayers) else NormLayers(_norm_factory(norm))
    model = factory(layers, num_classes=num_classes, in_channels=in_channels, **options)
    blocks = residual_blocks(model)
    if zero_init_last:
        _zero_last_norms(blocks)
    if layers.traits.initialize is not None:
        layers.traits.initialize(model, blocks)
    return model


def check_network(config: RunConfig) -> None:
    """Raises `UsageError` where model or norm do not exist, or do not take an option as it is."""
    _find(config.model.name, config.model.options)
    NormLayers(find_factory(config.norm.name, config.norm.factory), config.norm.options)


def _find(name: str, options: Mapping[str, Any]) -> ModelFactory:
    factory = MODELS.find(name)
    accepted = set(inspect.signature(factory).parameters) - {"layers", "num_classes", "in_channels"}
    if unknown := sorted(set(options) - accepted):
        raise UsageError(f"model {name} has no option {unknown[0]}; choices: {', '.join(sorted(accepted))}")
    check_arguments("model", factory, options)
    return factory


def _norm_factory(norm: str | Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return find_factory(norm) if isinstance(norm, str) else norm


def residual_blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks in order; each has `branch_convs()` and `last_norm()`."""
    return [m for m in model.modules() if hasattr(m, "branch_convs")]


def _zero_last_norms(blocks: Sequence[nn.Module]) -> None:
    for block in blocks:
        weight = getattr(block.last_norm(), "weight", None)  # type: ignore[operator]
        if weight is not None:
            nn.init.zeros_(weight)
