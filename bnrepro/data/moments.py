"""Mean and standard deviation of uint8 images, per channel."""

from __future__ import annotations

import numpy as np
from torch import Tensor

CHUNK = 4096
"""Images counted at once: memory stays small for sets larger than it."""


def channel_moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of `images: (N, H, W, C)` uint8 scaled to 0…1, one value per channel.

    From the counts of the 256 values: exact, whatever the order. A channel with one value only has the
    standard deviation 1, so that normalizing it gives 0.
    """
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), CHUNK):
        pixels = images[start : start + CHUNK].numpy()
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
    weights = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(axis=1)
    std = np.where((counts > 0).sum(axis=1) > 1, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())
