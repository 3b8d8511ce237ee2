"""An LSTM that reads an image as a sequence, with batch norm as Cooijmans et al. (2017) put it there."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bnrepro.config.errors import UsageError
from bnrepro.config.ranges import Count, Positive
from bnrepro.models.initial import DEFAULT_GROUPS, Init, initialize_linear
from bnrepro.models.registry import register
from bnrepro.norms import NormLayers
from bnrepro.norms.batch_statistics import BatchStatistics

GAMMA = 0.1
"""Initial weight of the norms: with 1 the gradient vanishes over time (Cooijmans et al. 2017, §4)."""
Statistics = Literal["per_step", "shared", "input_only"]


class StepNorm(nn.Module):
    """The norm of one place in the cell, at every time step.

    With statistics over images each step may have a layer of its own, all with one weight and bias: the
    statistics at the start of a sequence differ from those at its end (Cooijmans et al. 2017, §3). Steps
    beyond its layers use the last one.
    """

    def __init__(self, layers: NormLayers, features: int, layers_in_time: int, trains_bias: bool) -> None:
        super().__init__()
        first = layers.norm(features)
        _require_whole_affine(first)
        steps = [first]
        if isinstance(first, BatchStatistics):
            steps += [layers.norm(features) for _ in range(layers_in_time - 1)]
        for step in steps[1:]:
            step.weight, step.bias = first.weight, first.bias
        for name, parameter in first.named_parameters():
            if name == "weight":
                nn.init.constant_(parameter, GAMMA)
            elif name == "bias":
                parameter.requires_grad_(trains_bias)
        self.steps = nn.ModuleList(steps)

    def forward(self, x: Tensor, time: int) -> Tensor:
        return self.steps[min(time, len(self.steps) - 1)](x)


def _require_whole_affine(norm: nn.Module) -> None:
    """Raises `UsageError` for a batch norm whose γ is fixed or starts elsewhere, or whose β is fixed."""
    if isinstance(norm, BatchStatistics) and not (
        isinstance(norm.weight, nn.Parameter)
        and isinstance(norm.bias, nn.Parameter)
        and getattr(norm, "initial_weight", 1.0) == 1.0
    ):
        raise UsageError(
            "model=lstm: has its own rules for the norms' weight and bias; leave out norm.affine and "
            "norm.initial_weight"
        )


class Lstm(nn.Module):
    """`x: (N, C, H, W)`, cut into `steps` equal pieces in reading order, to logits `(N, num_classes)`.

    With h_t and c_t of `hidden` units and σ the logistic function (Cooijmans et al. 2017, Eq. 6-8):

        (f, i, o, g) = norm(W_h h_{t−1}) + norm(W_x x_t) + b
        c_t = σ(f) c_{t−1} + σ(i) tanh(g),    h_t = σ(o) tanh(norm(c_t))

    The two norms of the gates train no bias of their own, since b is there. `statistics`: `per_step` has a
    layer for every time step, `shared` one for all of them, `input_only` one, of W_x x_t alone. It matters
    only to norms with statistics over images.
    """

    def __init__(
        self,
        layers: NormLayers,
        in_features: int,
        num_classes: int,
        steps: int,
        hidden: int,
        statistics: Statistics,
    ) -> None:
        super().__init__()
        self.time_steps = steps
        self.blank_steps = 0
        """Steps of zeros in front of the sequence, for evaluations of a trained network."""
        in_time = steps if statistics == "per_step" else 1
        elsewhere = NormLayers(nn.Identity) if statistics == "input_only" else layers
        self.from_input = layers.linear(in_features // steps, 4 * hidden)
        self.from_state = layers.linear(hidden, 4 * hidden)
        for linear in (self.from_input, self.from_state):
            linear.register_parameter("bias", None)
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.input_norm = StepNorm(layers, 4 * hidden, in_time, trains_bias=False)
        self.state_norm = StepNorm(elsewhere, 4 * hidden, in_time, trains_bias=False)
        self.cell_norm = StepNorm(elsewhere, hidden, in_time, trains_bias=True)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        pieces = x.flatten(1).unflatten(1, (self.time_steps, -1))
        if self.blank_steps:
            blank = pieces.new_zeros(len(x), self.blank_steps, pieces.shape[2])
            pieces = torch.cat([blank, pieces], 1)
        hidden = self.classifier.in_features
        state = cell = pieces.new_zeros(len(x), hidden)
        for time in range(pieces.shape[1]):
            gates = self.state_norm(self.from_state(state), time)
            gates = gates + self.input_norm(self.from_input(pieces[:, time]), time) + self.bias
            forget, enter, leave, new = gates.split(hidden, 1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * self.cell_norm(cell, time).tanh()
        return self.classifier(state)


@register("lstm")
def lstm(
    layers: NormLayers,
    *,
    num_classes: int,
    in_channels: int = 1,
    image_size: Count = 8,
    steps: Count = 8,
    hidden: Count = 32,
    statistics: Statistics = "per_step",
    init: Init = "xavier",
    init_gain: Positive = 1.0,
) -> nn.Module:
    """One layer of `hidden` units over an image of `image_size` × `image_size` pixels in `steps` pieces.

    8 steps of an 8×8 image are its rows, 64 its pixels. The forget gate's bias starts at 1 (Jozefowicz et al.
    2015).
    Raises `UsageError` where the pixels cannot be cut into `steps` pieces.
    """
    pixels = in_channels * image_size**2
    if pixels % steps:
        raise UsageError(f"model.steps={steps}: does not divide the {pixels} values of an image")
    layers = layers.with_context(default_groups=DEFAULT_GROUPS)
    model = Lstm(layers, pixels, num_classes, steps, hidden, statistics)
    initialize_linear(model, init, init_gain)
    nn.init.ones_(model.bias[:hidden])
    return model
