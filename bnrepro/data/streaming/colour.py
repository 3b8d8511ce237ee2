"""Flip, colour jitter, lighting noise and normalization of whole batches, on their device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bnrepro.data.resident import normalize
from bnrepro.data.streaming.draws import FLIP, JITTER, LIGHTING

GRAY = (0.299, 0.587, 0.114)
"""What red, green and blue add to brightness (ITU-R BT.601)."""
PRINCIPAL = (
    (0.2175 * -0.5675, 0.0188 * 0.7192, 0.0045 * 0.4009),
    (0.2175 * -0.5808, 0.0188 * -0.0045, 0.0045 * -0.8140),
    (0.2175 * -0.5836, 0.0188 * -0.6948, 0.0045 * 0.4203),
)
"""Eigenvectors, one per column, times eigenvalues of ImageNet's RGB values in 0…1: the numbers that the
reference implementation of Wu & He 2018 (fb.resnet.torch) has, after Krizhevsky et al. 2012, §4.1."""


class Colour:
    """From uint8 images to what the network sees.

    `jitter`: brightness, contrast and saturation are blended by factors from 1 − jitter to 1 + jitter, with
    black, with the image's mean gray and with its gray version. As the reference does, values are not clamped
    between the steps; then the three commute, and they, the lighting noise and the normalization are one
    affine map of the colours of each image. `lighting`: standard deviation of the noise along the principal
    components. `mean`, `std`: per channel, of values in 0…1.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        jitter: float,
        lighting: float,
        device: torch.device,
    ) -> None:
        self.jitter = jitter
        self.lighting = lighting
        self.device = device
        self._mean, self._std = (torch.tensor(values, device=device) for values in (mean, std))
        self._gray = torch.tensor(GRAY, device=device)
        self._principal = torch.tensor(PRINCIPAL, device=device)

    def normalize(self, images: Tensor) -> Tensor:
        """`images: (n, 3, H, W)` uint8 to float32, channels_last."""
        return normalize(self._pixels(images), 255 * self._mean, 1 / (255 * self._std))

    def augment(self, images: Tensor, uniform: np.ndarray, *, flip: bool) -> Tensor:
        """The same, with the draws of each image, `uniform: (n, 4 · BLOCKS)`. Mirrors `images` in place."""
        if flip:
            mirror_(images, uniform)
        if not self.jitter and not self.lighting:
            return self.normalize(images)
        values = self._pixels(images)
        pixels = values.flatten(1, 2)
        matrix, shift = self._maps(pixels, uniform)
        return torch.baddbmm(shift, pixels, matrix.mT).view(values.shape).permute(0, 3, 1, 2)

    def _pixels(self, images: Tensor) -> Tensor:
        """`(n, H, W, 3)` float32 of its own, contiguous: the layout of channels_last."""
        return images.to(torch.float32, memory_format=torch.channels_last).permute(0, 2, 3, 1)

    def _maps(self, pixels: Tensor, uniform: np.ndarray) -> tuple[Tensor, Tensor]:
        """Per image the 3×3 matrix for values 0…255 and the shift `(n, 1, 3)`.

        Brightness b, contrast c and saturation s make b (c S x + (1 − c) m) of a colour x, with m the mean
        gray of the image, in every order: S = s I + (1 − s) · 1 grayᵀ keeps the gray of x, as gray sums to 1.
        """
        factors = 1 + self.jitter * (2 * uniform[:, JITTER] - 1)
        brightness, contrast, saturation = self._column(factors).unbind(1)
        gray = self._gray.expand(3, 3)
        saturated = saturation * torch.eye(3, device=self.device) + (1 - saturation) * gray
        mean_gray = (pixels.mean(1) @ self._gray / 255).view(-1, 1, 1)
        noise = self._column(self.lighting * _normal(uniform[:, LIGHTING])).view(-1, 1, 3) @ self._principal.T
        shift = brightness * (1 - contrast) * mean_gray + noise
        matrix = brightness * contrast * saturated / (255 * self._std.view(1, 3, 1))
        return matrix, (shift - self._mean) / self._std

    def _column(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)[:, :, None, None]


def mirror_(images: Tensor, uniform: np.ndarray) -> None:
    """Mirror half of `images: (n, 3, H, W)` left to right, in place, each by its own draw."""
    mirrored = np.flatnonzero(uniform[:, FLIP] < 0.5)
    if images.device.type == "cpu":
        for i in mirrored:  # one after the other: 5 times as fast, as each stays in the cache
            images[i] = images[i].flip(2)
    else:
        indices = torch.from_numpy(mirrored).to(images.device)
        images[indices] = images[indices].flip(3)


def _normal(uniform: np.ndarray) -> np.ndarray:
    """Three normal values from four uniform ones (Box & Muller 1958)."""
    radius = np.sqrt(-2 * np.log1p(-uniform[:, :2]))
    angle = 2 * np.pi * uniform[:, 2:]
    pair = radius * np.cos(angle)
    return np.concatenate([pair, radius[:, :1] * np.sin(angle[:, :1])], axis=1)
