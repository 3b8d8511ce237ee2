"""Counted floating-point operations, and how many the machine's matrix units can do."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bnrepro.bench.images import bench_images
from bnrepro.bench.processes import Speed
from bnrepro.config.schema import RunConfig
from bnrepro.training.batch_sizes import batch_sizes
from bnrepro.training.process.device import peak_memory_bytes, prepare_device
from bnrepro.training.session import build_network, norm_layers
from bnrepro.training.speed.estimate import estimate
from bnrepro.training.speed.timing import time_steps

SIDE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices: large enough to keep every unit busy."""
WARM_UP_SECONDS = 0.2


def flop_per_image(config: RunConfig) -> float:
    """Of a training step's convolutions and matrix products, forward and backward (a multiply-add is 2)."""
    images = bench_images(config.data)
    sizes = batch_sizes(config.protocol, config.batch_size)
    height, width, channels = images.train.stored.shape[1:]
    counted = estimate(
        lambda: build_network(config, norm_layers(config, sizes), images),
        (channels, height, width),
        sizes.sgd_batch_size,
    )
    return counted.flops_per_image


def matrix_products(config: RunConfig, seconds: float, start: Callable[[], object]) -> Speed:
    """Floating-point operations of square matrix products, in the run's precision and threads."""
    device = prepare_device(config)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    side = SIDE.get(device.type, SIDE["cpu"])
    a, b = torch.ones(2, side, side, dtype=dtype, device=device)
    out = torch.empty_like(a)

    def product() -> None:
        torch.mm(a, b, out=out)

    time_steps(product, WARM_UP_SECONDS, device)
    start()
    products, elapsed = time_steps(product, seconds, device)
    return Speed(products * 2.0 * side**3, elapsed, peak_memory_bytes(device))
