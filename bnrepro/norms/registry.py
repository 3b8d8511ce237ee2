"""What a norm is to the rest of the program: a factory, and what it asks of the network around it.

A factory is a callable `make(num_channels, **options) -> nn.Module`. Its keyword arguments are the norm's
options; `configs/norm/<name>.yaml` gives each a value. Some keyword names are filled in by the program,
for the factories that have them (`CONTEXT`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro.config.convert import check_accepted, check_arguments
from bnrepro.config.errors import UsageError
from bnrepro.config.reference import load_reference
from bnrepro.config.registry import Registry

Factory = Callable[..., nn.Module]
F = TypeVar("F", bound=Factory)

CONTEXT = {
    "norm_batch_size": "images whose statistics are shared; None: the whole batch of the process",
    "sgd_batch_size": "images behind one optimizer step, over all processes",
    "activated": "False where no activation follows: at the end of a branch, and on a projection shortcut",
    "ends_branch": "True for the last norm of a residual branch, in front of the addition",
    "default_groups": "what `groups=auto` is in this family of models",
}
"""Keyword arguments that come from the program and not from the norm's YAML."""
MOST_GROUPS = 32


@dataclass(frozen=True)
class Traits:
    """What a norm asks of the network and of evaluation. Attach with `@traits(...)` or `@register(...)`."""

    batch_statistics: bool = False
    """It normalizes with statistics over images: its modules are `BatchStatistics`."""
    all_workers: bool = False
    """Its statistics are those of all workers: its `norm_batch_size` is the SGD batch, in every protocol."""
    conv: Callable[..., nn.Conv2d] = nn.Conv2d
    """The convolution in front of it, called as `nn.Conv2d` is."""
    conv_bias: bool = False
    """The convolution in front needs a bias, since the norm adds none."""
    activation: Callable[[], nn.Module] = nn.ReLU
    """The activation behind it; `nn.Identity` where the norm brings its own. Not the one behind the
    addition: that is the block's."""
    maps: bool = False
    """It needs images with height and width: `(N, C)` is not enough."""
    mixed: Callable[[nn.Module, Tensor, Tensor], nn.Module] | None = None
    """Makes from one of its layers the same with normalization batches that are data (`MixedBatchNorm`): in
    lockstep it then trains with several of them side by side."""
    initialize: Callable[[nn.Module, Sequence[nn.Module]], None] | None = None
    """Called once with the finished network and its residual blocks, each with `branch_convs()` and
    `last_norm()`."""


def traits(**asks: Any) -> Callable[[F], F]:
    """Attach `Traits(**asks)` to a factory."""

    def attach(factory: F) -> F:
        factory.traits = Traits(**asks)  # type: ignore[attr-defined]
        return factory

    return attach


def traits_of(factory: Factory) -> Traits:
    """What a factory asks for; a plain callable asks for nothing."""
    return getattr(factory, "traits", Traits())


NORMS = Registry[Factory]("norm")
"""Every norm of the package by the name that configs, figures and the command line use."""


def register(name: str, **asks: Any) -> Callable[[F], F]:
    """Decorator: put a factory into `NORMS` under `name`, with the `Traits` it asks for."""

    def add(factory: F) -> F:
        NORMS.register(name)(factory)
        return traits(**asks)(factory)

    return add


def find_factory(name: str, reference: str | None = None) -> Factory:
    """The factory called `name`, or what `reference` points to (`module:callable`, `file.py:callable`).

    Torch's own batch norms are `bn`, or `bn_sync`: only those can share statistics over groups.
    """
    if reference is None:
        return NORMS.find(name)
    factory = load_reference("norm.factory", reference)
    if isinstance(factory, type) and issubclass(factory, _BatchNorm):
        return NORMS.find("bn_sync" if issubclass(factory, nn.SyncBatchNorm) else "bn")
    return cast(Factory, factory)


@dataclass(frozen=True)
class NormLayers:
    """What a network builds its blocks from: convolution, norm and activation that belong together.

    Raises `UsageError` for an option that the factory does not take, or outside of the range that it
    annotates.
    """

    factory: Factory
    options: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_accepted("norm", self.factory, self.options, {"num_channels", *CONTEXT})
        check_arguments("norm", self.factory, self.options)

    @cached_property
    def traits(self) -> Traits:
        return traits_of(self.factory)

    @cached_property
    def _accepted(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.factory).parameters)

    def with_context(self, **context: Any) -> NormLayers:
        return NormLayers(self.factory, self.options, {**self.context, **context})

    def conv(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
        """A convolution that keeps the size at stride 1 and has a bias only if the norm needs one.

        The bias starts at 0 and is not drawn: a seed gives the same weights under every norm.
        """
        conv = self.traits.conv(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        if self.traits.conv_bias:
            conv.bias = nn.Parameter(torch.zeros(out_channels))
        return conv

    def linear(self, in_features: int, out_features: int) -> nn.Linear:
        """A linear layer in front of a norm; its bias is as a convolution's.

        Raises `UsageError` for a norm that is made for convolutions.
        """
        asks = self.traits
        if asks.maps or asks.conv is not nn.Conv2d or asks.activation is not nn.ReLU or asks.initialize:
            name = getattr(self.factory, "__name__", str(self.factory))
            raise UsageError(
                f"norm={name}: is made for convolutions, and this model has none; use bn, ln, gn or none"
            )
        layer = nn.Linear(in_features, out_features, bias=False)
        if asks.conv_bias:
            layer.bias = nn.Parameter(torch.zeros(out_features))
        return layer

    def norm(self, num_channels: int, *, activated: bool = True, ends_branch: bool = False) -> nn.Module:
        groups = self.context.get("default_groups", fitting_groups(num_channels))
        context = {
            **self.context,
            "activated": activated,
            "ends_branch": ends_branch,
            "default_groups": groups,
        }
        given = {key: value for key, value in context.items() if key in self._accepted}
        return with_role(self.factory(num_channels, **given, **self.options), "norm")

    def activation(self) -> nn.Module:
        return with_role(self.traits.activation(), "activation")


def with_role(module: nn.Module, role: str) -> nn.Module:
    """`module` itself, marked for `role_of`: also for an activation that `NormLayers` does not make."""
    module.layer_role = role  # type: ignore[assignment]
    return module


def role_of(module: nn.Module) -> str:
    """`norm` or `activation`: what it was made for, also where it is the identity; PyTorch's own by class."""
    return getattr(module, "layer_role", "") or next(
        (role for role, classes in _OWN_ROLES.items() if isinstance(module, classes)), ""
    )


_OWN_ROLES = {
    "norm": (
        *(nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm),
        *(nn.GroupNorm, nn.LayerNorm),
    ),
    "activation": (
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish),
        *(nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Softplus),
    ),
}
"""Of networks that are not ours."""


def fitting_groups(num_channels: int) -> int:
    """`groups=auto` in a network that says nothing of it: the most groups, up to the 32 of Wu & He 2018, that
    divide the channels and leave two or more in each.
    """
    most = min(MOST_GROUPS, num_channels // 2)
    return next((groups for groups in range(most, 1, -1) if num_channels % groups == 0), 1)


def build_norm(name: str, num_channels: int, **options: Any) -> nn.Module:
    """One norm layer for activations `(N, C, H, W)` or `(N, C)` with C = `num_channels`.

    `build_norm("bn", 64, norm_batch_size=4)`. Raises `UsageError` for an unknown name or option, and for a
    value out of range.
    """
    factory = find_factory(name)
    check_accepted("norm", factory, options, {"num_channels"})
    check_arguments("norm", factory, options)
    return factory(num_channels, **options)
