"""What networks of linear layers have in common."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

Init = Literal["xavier", "kaiming", "unit"]
DEFAULT_GROUPS = 4  # of group norm: divides widths such as 100, 64 and 32


def initialize_linear(model: nn.Module, init: Init, gain: float) -> None:
    """Draw the weights of all linear layers anew, normally distributed around 0; biases start at 0.

    Standard deviation: `xavier` √(2 / (in + out)) (Glorot & Bengio 2010), `kaiming` √(2 / in) (He et al.
    2015), `unit` 1; each times `gain`.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            inputs, outputs = module.in_features, module.out_features
            sd = {"xavier": math.sqrt(2 / (inputs + outputs)), "kaiming": math.sqrt(2 / inputs), "unit": 1.0}
            nn.init.normal_(module.weight, std=gain * sd[init])
            if module.bias is not None:
                nn.init.zeros_(module.bias)
