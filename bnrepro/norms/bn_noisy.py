"""`bn_noisy`: batch norm whose outputs are scaled and shifted at random, anew in every training step."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from bnrepro.config.ranges import Fraction, Positive, Range
from bnrepro.norms.batch_norm import BatchNorm
from bnrepro.norms.registry import register

NOISE = ("noise_scale", "noise_shift")


class NoisyBatchNorm(BatchNorm):
    """Batch norm whose outputs move in every step (Santurkar et al. 2018, §2.1 and Algorithm 1).

    Training: y = s · BN(x) + m. Every channel draws s from U(1, `scale`) and m from U(−`shift`, `shift`),
    once per step, the same for all images, groups and processes. Where such a network learns as well as one
    with `bn`, steady inputs are not what makes `bn` work.

    In evaluation, and with statistics that are looked at without training, s and m have their expected values
    (1 + `scale`) / 2 and 0. We found nothing on the paper's evaluation. Its further jitter of every image
    (±0.1) is left out: the moving distribution is what is tested.

    The draws depend on the run's seed, the layer and the step's number, and on nothing else; a seed's initial
    weights are those of every other norm. Layers that are made without a weight in between, as those of an
    LSTM's time steps, draw the same. In lockstep every model has its own.

    `x: (N, C, H, W)` or `(N, C)`. Raises torch's ValueError for one value per channel in training.
    """

    noise_scale: Tensor
    noise_shift: Tensor
    noise_seed: Tensor

    def __init__(
        self,
        num_channels: int,
        norm_batch_size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        scale: float = 1.25,
        shift: float = 0.5,
    ) -> None:
        super().__init__(num_channels, norm_batch_size, eps, momentum)
        self.scale = scale
        self.shift = shift
        # tensors, so that a captured step sees them change; saved, so that a look at a network that was
        # restored sees what its last step had
        for name in NOISE:
            self.register_buffer(name, torch.zeros(num_channels))
        # a tensor, so that lockstep stacks one for each of its models
        self.register_buffer("noise_seed", _peek().to(self.weight.device), persistent=False)
        self.schedule(0, 1)

    def schedule(self, step: int, total_steps: int) -> None:
        """Draw the noise of step `step` (from 0); in lockstep that of every model."""
        channels = self.noise_scale.shape[-1]
        numbers = torch.arange(2 * channels, device=self.noise_seed.device) + 2 * channels * step
        scale, shift = uniform(self.noise_seed[..., None], numbers).split(channels, -1)
        self.noise_scale.copy_(1 + (self.scale - 1) * scale)
        self.noise_shift.copy_((2 * shift - 1) * self.shift)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not (self.training and self.updates_running):
            return y * ((1 + self.scale) / 2)
        shape = (-1, *(1,) * (x.dim() - 2))
        return (y * self.noise_scale.view(shape) + self.noise_shift.view(shape)).to(y.dtype)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Torch's batch norms have no noise: this layer's stays."""
        for name in NOISE:
            state_dict.setdefault(f"{prefix}{name}", getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _peek() -> Tensor:
    """The next number of torch's generator, which stays as it is."""
    with torch.random.fork_rng(devices=[]):
        return torch.randint(2**62, (), device="cpu")


def uniform(seed: Tensor, numbers: Tensor) -> Tensor:
    """Those numbers, from 0, of the sequence of `seed` from U(0, 1): both int64, the result float64.

    SplitMix64 (Steele et al. 2014). Torch's generators cannot be asked for a number by its place, nor for
    those of several seeds at once; and these are the same on every device.
    """
    x = seed + (numbers + 1) * _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return _shifted(x ^ _shifted(x, 31), 11).double() * 2.0**-53


def _signed(word: int) -> int:
    """64 bits as the int64 that has them: products then wrap around as those of unsigned words do."""
    return word - (1 << 64)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """To the right, filled up with zeros."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


@register("bn_noisy", batch_statistics=True)
def bn_noisy(
    num_channels: int,
    *,
    norm_batch_size: int | None = None,
    eps: Positive = 1e-5,
    momentum: Fraction = 0.1,
    scale: Annotated[float, Range(1)] = 1.25,
    shift: Annotated[float, Range(0)] = 0.5,
) -> nn.Module:
    """Batch norm with a random scale and shift behind it; see `NoisyBatchNorm`."""
    return NoisyBatchNorm(num_channels, norm_batch_size, eps, momentum, scale, shift)
