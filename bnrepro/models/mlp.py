"""Fully connected networks, as the derivation of batch normalization has them."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from torch import Tensor, nn

from bnrepro.config.ranges import Count, Positive, Range
from bnrepro.models.initial import DEFAULT_GROUPS, Init, initialize_linear
from bnrepro.models.registry import register
from bnrepro.norms import NormLayers, with_role

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "identity": nn.Identity}
Activation = Literal["sigmoid", "tanh", "relu", "identity"]


class Hidden(nn.Module):
    """Linear, norm, activation, dropout; the norm in front of the activation (Ioffe & Szegedy 2015, §3.2)."""

    def __init__(
        self, layers: NormLayers, in_features: int, width: int, activation: Activation, dropout: float
    ) -> None:
        super().__init__()
        self.linear = layers.linear(in_features, width)
        self.norm = layers.norm(width)
        self.act = with_role(ACTIVATIONS[activation](), "activation")
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.act(self.norm(self.linear(x))))


class Mlp(nn.Module):
    """`x: (N, C, H, W)` to logits `(N, num_classes)`: `depth` hidden layers of `width` units."""

    def __init__(
        self,
        layers: NormLayers,
        in_features: int,
        num_classes: int,
        depth: int,
        width: int,
        activation: Activation,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = [in_features, *[width] * depth]
        self.hidden = nn.Sequential(
            *(Hidden(layers, before, after, activation, dropout) for before, after in pairwise(sizes))
        )
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.hidden(x.flatten(1)))


@register("mlp")
def mlp(
    layers: NormLayers,
    *,
    num_classes: int,
    in_channels: int = 1,
    image_size: Count = 8,
    depth: Count = 3,
    width: Count = 100,
    activation: Activation = "relu",
    init: Init = "kaiming",
    init_gain: Positive = 1.0,
    dropout: Annotated[float, Range(0, 0.99)] = 0.0,
) -> nn.Module:
    """A fully connected network for images of `image_size` × `image_size` pixels.

    3 × 100 units are Ioffe & Szegedy's (2015, §4.1).
    """
    layers = layers.with_context(default_groups=DEFAULT_GROUPS)
    model = Mlp(layers, in_channels * image_size**2, num_classes, depth, width, activation, dropout)
    initialize_linear(model, init, init_gain)
    return model
